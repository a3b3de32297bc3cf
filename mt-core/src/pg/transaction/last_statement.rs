//! The last statement of a transaction, and its commit.

use std::fmt;

use super::batch::Batch;
use super::exchange::Mode;
use super::open_tx::{End, OpenTx};
use super::query::Query;
use super::query_executor::{QueryExecutor, private::Sealed};
use super::tx_conn::Origin;
use crate::pg::audit_log::Line;
use crate::pg::{PgError, Statements};

/// Runs one statement and commits ([`TenantTx::execute_and_commit`](crate::pg::TenantTx::execute_and_commit)).
///
/// One round trip for a plain `insert … values … returning …`, once the types of the columns that it returns are known.
/// Any other statement, and any behind a pooler in transaction mode, takes one for itself and one for the commit.
#[must_use = "it commits with the statement that it is given to"]
pub struct LastStatement {
    tx: OpenTx,
    mode: Mode,
    line: Line,
}

impl LastStatement {
    pub(in crate::pg) const fn new(tx: OpenTx, mode: Mode, line: Line) -> Self {
        Self { tx, mode, line }
    }

    /// Whether one message may run the statement, record it and commit. What is recorded has to be done, so it has to be
    /// a statement that adds a row or fails; and the rows are read after the commit, so it has to be known that they can be.
    fn shares_the_commit<R>(&self, query: &Query<R>) -> bool {
        self.tx.statements() == Statements::Named
            && self.mode == Mode::Write
            && adds_a_row(query.sql())
            && self.tx.known_results().are_text(query.sql()) == Some(true)
    }
}

/// Whether a statement adds a row or fails: one that inserts values and passes over no conflict.
fn adds_a_row(sql: &str) -> bool {
    let sql = sql.trim_start().to_ascii_lowercase();
    sql.starts_with("insert into ") && sql.contains(" values ") && !sql.contains("on conflict")
}

impl Sealed for LastStatement {}

impl QueryExecutor for LastStatement {
    type Error = PgError;

    async fn fetch<R: Send>(mut self, query: Query<R>) -> Result<Vec<R>, PgError> {
        query.check()?;
        if let Some(values) = query.values()
            && self.shares_the_commit(&query)
        {
            self.tx.journal().add(self.line);
            let batch = Batch::default().statement(query.sql(), values.clone());
            let rows = self.tx.end_after(batch, End::Commit).await?;
            return Ok(query.read(&rows)?);
        }
        let known = self.tx.known_results().clone();
        let sql = query.sql();
        let (query, read) = query.into_sqlx()?;
        let place = self.tx.changing(Origin::Embedder(self.mode), self.line);
        let rows = query.fetch_all(place).await?;
        known.learn(sql, &rows);
        let read = rows.iter().map(read).collect::<Result<_, _>>()?;
        self.tx.end(End::Commit).await?;
        Ok(read)
    }
}

impl fmt::Debug for LastStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastStatement").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::adds_a_row;

    #[test]
    fn only_a_plain_insert_is_sure_to_add_a_row() {
        assert!(adds_a_row("insert into app.notes (text) values ($1) returning id"));
        assert!(adds_a_row("  INSERT INTO app.notes (text) VALUES ($1)"));
        for sql in [
            "insert into app.notes (text) values ($1) on conflict do nothing",
            "insert into app.notes (text) select $1 where false",
            "update app.notes set text = $1",
            "with a as (select 1) insert into app.notes values (1)",
        ] {
            assert!(!adds_a_row(sql), "{sql}");
        }
    }
}
