//! Reports of measuring tests: Markdown tables, and the documentation page that holds the last ones.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Prints `text`, and writes it into the page that the environment variable `variable` names, if it is set. There it
/// replaces what is between the comments `<!-- section -->` and `<!-- end of section -->`.
///
/// # Panics
///
/// If the page cannot be read or written, or has no such section.
#[expect(clippy::print_stdout, reason = "the figures are the result of the test")]
pub fn publish(variable: &str, section: &str, text: &str) {
    println!("\n{section}\n\n{text}");
    let Some(page) = std::env::var_os(variable) else { return };
    let page = Path::new(&page);
    let old = std::fs::read_to_string(page).unwrap();
    std::fs::write(page, replaced(&old, section, text)).unwrap();
}

fn replaced(page: &str, section: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
    let from = page.find(&begin).expect("the page has the section") + begin.len();
    let to = page.find(&end).expect("the section has an end");
    format!("{}\n{text}\n{}", &page[..from], &page[to..])
}

/// Returns a Markdown table.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text =
        format!("| {} |\n| {} |\n", head.join(" | "), vec!["---"; head.len()].join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// Returns median and maximum of durations in milliseconds: `12 / 40 ms`.
#[must_use]
pub fn median_and_max(durations: impl IntoIterator<Item = Duration>) -> String {
    let mut all: Vec<u128> = durations.into_iter().map(|one| one.as_millis()).collect();
    all.sort_unstable();
    match all.last() {
        Some(max) => format!("{} / {max} ms", all[all.len() / 2]),
        None => "none".to_owned(),
    }
}

/// Returns median and maximum of counts: `3 / 9`.
#[must_use]
pub fn median_and_max_count(counts: impl IntoIterator<Item = usize>) -> String {
    let mut all: Vec<usize> = counts.into_iter().collect();
    all.sort_unstable();
    all.last().map_or_else(String::new, |max| format!("{} / {max}", all[all.len() / 2]))
}

#[test]
fn publishing_replaces_one_section_of_the_page() {
    let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\n\n<!-- end of y -->\n";
    let new = replaced(page, "x", "new");
    assert_eq!(new, page.replace("old\n", "\nnew\n"));
    assert_eq!(replaced(&new, "x", "new"), new);
}
