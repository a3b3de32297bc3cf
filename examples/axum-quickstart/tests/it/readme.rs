//! The README shows what is compiled.

/// The items of each block of Rust in a text.
fn items(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```rust\n").skip(1);
    blocks.flat_map(|block| block.split_once("```\n").unwrap().0.trim_end().split("\n\n")).collect()
}

#[test]
fn the_readme_shows_what_is_compiled() {
    let sources = [include_str!("../../src/lib.rs"), include_str!("main.rs")];
    let shown = items(include_str!("../../../../README.md"));
    assert!(shown.len() > 3, "{shown:?}");
    for item in shown {
        assert!(sources.iter().any(|source| source.contains(item)), "not compiled:\n{item}");
    }
}
