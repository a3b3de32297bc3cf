//! The page `docs/planted-bugs.md`, generated from the findings.

use std::fmt::Write as _;
use std::path::Path;

use planted_bugs::Bug;

const HEAD: &str = "\
# Planted bugs

A helpdesk on axum ([`examples/planted-bugs`](../examples/planted-bugs/src/lib.rs)) contains these bugs, each behind a
switch. Each compiles, and each is found by the tool in its row; the last column is part of that tool's output. With all
bugs off, no tool reports anything. The test `every_bug_is_found_by_its_tool` makes this page, with `MT_BLESS=1`.

| tool | description |
| --- | --- |
| audit | [`pg::audit`](../mt-core/src/pg/audit/mod.rs), also as `mt-server doctor` |
| isolation | [`Harness::check`](../mt-core/src/testing/isolation/mod.rs) |
| without policies | `Harness::without_policies`: the same check with row-level security off |
| matrix | `Harness::matrix`, compared with a reviewed file |
| completeness | `Harness::serving`, which compares with the routes of the router |
| run time | the library or Postgres refuses it |

Bugs that do not compile are in [`compile-fail/tests/ui`](../compile-fail/tests/ui), with the compiler's errors.

";

fn page(table: &[(Bug, Option<&String>)]) -> String {
    let mut page = HEAD.to_owned();
    _ = writeln!(page, "{} bugs:\n\n| bug | tool | output |\n| --- | --- | --- |", table.len());
    for (bug, _) in table {
        _ = writeln!(page, "| {} | {} | {} |", bug.about(), bug.tool(), bug.says());
    }
    page
}

/// Prints the findings, and compares the page with its file.
#[expect(clippy::print_stderr, reason = "shows the output of each tool")]
pub(crate) fn compare(table: &[(Bug, Option<&String>)]) {
    for (bug, found) in table {
        let line = found.map_or("", |line| line.lines().next().unwrap_or_default());
        let line: String = line.chars().take(160).collect();
        eprintln!("{:<32}{:<18}{line}", format!("{bug:?}"), bug.tool().to_string());
    }
    let page = page(table);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/planted-bugs.md");
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(page == kept, "docs/planted-bugs.md is not up to date; MT_BLESS=1 writes it anew");
}
