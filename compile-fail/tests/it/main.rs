//! Code that bypasses a check does not compile. The compiler's messages are committed.
//!
//! The texts belong to the toolchain in `rust-toolchain.toml`; `TRYBUILD=overwrite` writes them anew.

use std::path::Path;

#[test]
fn skipping_a_check_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui-pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}

/// Texts taken on one machine have to hold on any other.
#[test]
fn compiler_messages_contain_no_machine_path() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut texts = 0;
    for entry in ui.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "stderr") {
            continue;
        }
        texts += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let location = line.trim_start().strip_prefix("--> ");
            assert!(location.is_none_or(|at| !at.starts_with('/')), "{}: {line}", path.display());
        }
    }
    assert!(texts >= 10, "found {texts} texts");
}
