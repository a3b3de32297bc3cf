//! Which statements return rows that the driver reads from text.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _};

use super::literal::is_read_from_text;

/// The statements of a program, and whether all of their columns are of types that are read from text.
///
/// A message of several statements returns rows as text. A message that commits is read after the commit, when it is too
/// late to ask for another format; so a statement that returns something is first run by itself. A read is run again.
#[derive(Clone, Debug, Default)]
pub(in crate::pg) struct KnownResults(Arc<RwLock<HashMap<&'static str, bool>>>);

impl KnownResults {
    /// Whether the rows of the statement are read from text; `None` if none was seen yet.
    pub(in crate::pg) fn are_text(&self, sql: &str) -> Option<bool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(sql).copied()
    }

    /// Looks at the columns of the rows that the statement has returned.
    pub(in crate::pg) fn learn(&self, sql: &'static str, rows: &[PgRow]) {
        let (Some(row), None) = (rows.first(), self.are_text(sql)) else { return };
        let are_text = row.columns().iter().all(|column| is_read_from_text(column.type_info()));
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sql, are_text);
    }
}
