//! Text tables: columns are two spaces apart, without lines and without truncation.

use std::fmt;

use chrono::{DateTime, SubsecRound as _, Utc};
use comfy_table::ContentArrangement;
use comfy_table::presets::NOTHING;

/// A text table. Columns are as wide as their widest cell, and two spaces apart.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Table {
    /// Creates a table with these headings, or without headings.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !head.is_empty() {
            table.set_header(head);
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.add_row(cells.into_iter().map(Into::<String>::into));
    }
}

impl fmt::Display for Table {
    /// Writes the table without trailing spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.0.clone();
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

/// Formats a time to the second; `-` for none.
#[must_use]
pub fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.trunc_subsecs(0).format("%F %TZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["A", "BB"]);
        table.row(["äöü", ""]);
        table.row(["x", "y"]);
        assert_eq!(table.to_string(), "A    BB\näöü\nx    y\n");
    }
}
