//! The figures of a storm as a table, and the page that keeps the last ones.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Writes `text` into the page that `MT_CHAOS_PAGE` names, between the two lines that mark `section`, and
/// onto standard output.
#[expect(clippy::print_stdout, reason = "the figures are what `make chaos` is for")]
pub(super) fn publish(section: &str, text: &str) {
    println!("\n{section}\n\n{text}");
    let Some(page) = std::env::var_os("MT_CHAOS_PAGE") else { return };
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

/// A Markdown table.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text =
        format!("| {} |\n| {} |\n", head.join(" | "), vec!["---"; head.len()].join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// Median and maximum in milliseconds: `12 / 40 ms`.
pub(super) fn median_and_max(durations: impl IntoIterator<Item = Duration>) -> String {
    let mut all: Vec<u128> = durations.into_iter().map(|one| one.as_millis()).collect();
    all.sort_unstable();
    match all.last() {
        Some(max) => format!("{} / {max} ms", all[all.len() / 2]),
        None => "none".to_owned(),
    }
}

/// The same of numbers.
pub(super) fn median_and_most(numbers: impl IntoIterator<Item = usize>) -> String {
    let mut all: Vec<usize> = numbers.into_iter().collect();
    all.sort_unstable();
    all.last().map_or_else(String::new, |most| format!("{} / {most}", all[all.len() / 2]))
}

#[test]
fn a_section_of_the_page_is_replaced_and_nothing_else() {
    let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\n\n<!-- end of y -->\n";
    let new = replaced(page, "x", "new");
    assert_eq!(new, page.replace("old\n", "\nnew\n"));
    assert_eq!(replaced(&new, "x", "new"), new);
}
