//! Text tables: columns are two spaces apart, without lines and without truncation.

use chrono::{DateTime, SubsecRound as _, Utc};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// Creates a table with these headings, or without headings.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !head.is_empty() {
        table.set_header(head);
    }
    table
}

/// Renders a table without trailing spaces.
pub(super) fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Formats a time to the second; `-` for none.
pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.trunc_subsecs(0).format("%F %TZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = table(&["A", "BB"]);
        table.add_row(["äöü", ""]).add_row(["x", "y"]);
        assert_eq!(lines(table), "A    BB\näöü\nx    y\n");
    }
}
