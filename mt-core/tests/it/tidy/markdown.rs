//! Anchors of links between documents exist, Rust code in public documents is compiled somewhere, and
//! `bench/README.md` lists what `bench/run` takes.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::{is_document, links_with_anchors, resolved};
use super::{File, assert_none, files};

/// The lines of a document, with whether each is part of a code block.
fn lines(text: &str) -> impl Iterator<Item = (usize, bool, &str)> {
    let mut in_code = false;
    text.lines().enumerate().map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (number, in_code || is_fence, line)
    })
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

fn anchors(file: &File) -> BTreeSet<String> {
    let headings = lines(&file.text).filter(|(_, in_code, _)| !in_code);
    let headings = headings.filter_map(|(_, _, line)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#'))).collect()
}

/// Links of a document to headings that do not exist.
fn leads_to_headings(file: &File, known: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, _, line) in lines(&file.text).filter(|(_, in_code, _)| !in_code) {
        for (path, heading) in links_with_anchors(line) {
            let path =
                if path.is_empty() { Some(file.path.clone()) } else { resolved(&file.path, path) };
            let known = path.and_then(|path| known.get(path.as_str()));
            if known.is_none_or(|known| !known.contains(heading)) {
                complaints
                    .push(file.complaint(number, format!("there is no heading `#{heading}`")));
            }
        }
    }
    complaints
}

/// Each paragraph of a document's Rust blocks, with the number of its first line.
fn rust_paragraphs(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut in_rust = false;
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            in_rust = line == "```rust";
            continues = false;
        } else if in_rust && !line.is_empty() {
            match found.last_mut().filter(|_| continues) {
                Some((_, paragraph)) => paragraph.push(line),
                None => found.push((number, vec![line])),
            }
            continues = true;
        } else {
            continues = false;
        }
    }
    found
}

/// Paragraphs of Rust that are not in any of the sources, whatever their indentation.
fn shows_compiled_code(file: &File, sources: &[Vec<&str>]) -> Vec<String> {
    let is_compiled = |paragraph: &[&str]| {
        sources.iter().any(|source| source.windows(paragraph.len()).any(|part| part == paragraph))
    };
    let paragraphs = rust_paragraphs(&file.text).into_iter();
    let missing = paragraphs.filter(|(_, paragraph)| !is_compiled(paragraph));
    missing.map(|(line, _)| file.complaint(line, "this code is in no example")).collect()
}

fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

/// Code that `scripts/new-service` compiles in a new service.
const ADDED: &str = "mt-cli/tests/orders.txt";

/// The words that `bench/run` takes: the labels of its `case`.
fn measurements(script: &str) -> BTreeSet<&str> {
    let cases = script.split_once("case $what in\n").expect("the script chooses").1;
    let labels = cases.lines().filter(|line| !line.starts_with(' '));
    let labels = labels.filter_map(|line| line.split_once(')')).map(|(labels, _)| labels);
    labels.flat_map(|labels| labels.split(" | ")).filter(|label| *label != "*").collect()
}

/// The words in the first column of a document's first table.
fn listed(document: &str) -> BTreeSet<&str> {
    let rows = document.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn the_measurements_are_listed() {
    let files = files();
    let text = |path| &files.iter().find(|file| file.path == path).expect(path).text;
    let taken = measurements(text("bench/run"));
    assert!(taken.contains("compare") && taken.contains("k6"), "{taken:?}");
    assert_eq!(taken, listed(text("bench/README.md")));
    assert_ne!(taken, listed("| a |\n| --- |\n| `compare` |\n\n| `k6` |\n"));
}

#[test]
fn links_lead_to_headings() {
    let files = files();
    let documents = || files.iter().filter(|file| is_document(file));
    let known = documents().map(|file| (file.path.as_str(), anchors(file))).collect();
    let complaints: Vec<_> = documents().flat_map(|file| leads_to_headings(file, &known)).collect();
    assert_none(&complaints);

    let there = File::fake("docs/a.md", "# A `b`, c\n```\n# Not\n```\n## D_e-f");
    let known = BTreeMap::from([("docs/a.md", anchors(&there))]);
    for (text, complaints) in [
        ("[x](#a-b-c) [y](../docs/a.md#d_e-f) [z](a.md) [w](https://x/y#z)", 0),
        ("[x](#not) [y](#a) [z](b.md#a-b-c)", 3),
    ] {
        let found = leads_to_headings(&File::fake("docs/a.md", text), &known);
        assert_eq!(found.len(), complaints, "{text}: {found:?}");
    }
}

#[test]
fn rust_in_documents_is_compiled() {
    let files = files();
    let is_source = |path: &str| path.starts_with("examples/") || path == ADDED;
    let sources: Vec<_> = files.iter().filter(|file| is_source(&file.path)).collect();
    assert!(sources.iter().any(|file| file.path == ADDED), "there is no {ADDED}");
    let sources: Vec<_> = sources.iter().map(|file| trimmed(&file.text)).collect();
    let public = |file: &&File| file.path == "README.md" || file.path.starts_with("docs/");
    let documents: Vec<_> = files.iter().filter(public).collect();
    assert!(documents.iter().any(|file| !rust_paragraphs(&file.text).is_empty()), "found no code");
    let complaints: Vec<_> =
        documents.iter().flat_map(|file| shows_compiled_code(file, &sources)).collect();
    assert_none(&complaints);

    let sources = [trimmed("fn a() {\n    b();\n}\n\nfn c() {}\n")];
    for (text, complaints) in [
        ("```rust\nfn c() {}\n\n  b();\n}\n```\n```text\nfn x() {}\n```", 0),
        ("```rust\nfn c() {}\nb();\n```", 1),
        ("```rust\nfn d() {}\n\nfn e() {}\n```", 2),
    ] {
        let found = shows_compiled_code(&File::fake("docs/a.md", text), &sources);
        assert_eq!(found.len(), complaints, "{text}: {found:?}");
    }
}
