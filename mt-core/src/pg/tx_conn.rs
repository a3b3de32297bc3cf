//! A place to run one statement of a transaction.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use either::Either;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres,
};
use sqlx::{Execute, Executor, SqlStr};
use tokio::time::{Sleep, sleep};

use super::audit_log::{Journal, Line};
use super::connections::{Connection, Epoch};
use super::database::Statements;
use super::exchange::Exchange;

/// A connection inside a transaction, for one statement: an sqlx [`Executor`].
///
/// It is not a `PgConnection`, so the transaction cannot be ended or nested behind the back of its
/// owner by `begin`, and it follows the pool's choice between named and unnamed statements
/// (see [`Statements`]).
pub struct TxConn<'t> {
    conn: &'t mut PgConnection,
    epoch: &'t Epoch,
    statements: Statements,
    exchange: &'t mut Exchange,
    /// What is recorded, and where, if the statement touches a row.
    records: Option<(&'t mut Journal, Line)>,
}

impl<'t> TxConn<'t> {
    pub(super) fn new(
        connection: &'t mut Connection,
        statements: Statements,
        exchange: &'t mut Exchange,
        records: Option<(&'t mut Journal, Line)>,
    ) -> Self {
        let Connection { raw, epoch, .. } = connection;
        Self { conn: raw, epoch, statements, exchange, records }
    }

    /// Runs one exchange that returns no rows.
    async fn exchange<T>(
        epoch: &Epoch,
        exchange: &mut Exchange,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        exchange.begin();
        match tokio::time::timeout(exchange.within(), work).await {
            Ok(Ok(done)) => {
                exchange.end();
                Ok(done)
            }
            Ok(Err(error)) => Err(exchange.fail(error, epoch).1),
            Err(_) => Err(exchange.time_out(epoch)),
        }
    }
}

impl std::fmt::Debug for TxConn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TxConn").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for TxConn<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Self { conn, epoch, statements, exchange, records } = self;
        exchange.begin();
        let changes_rows = Arc::new(AtomicBool::new(false));
        let query = Following { query, statements, changes_rows: Arc::clone(&changes_rows) };
        let steps = conn.fetch_many(query);
        Answer { steps, silence: None, epoch, exchange, records, changes_rows }.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut rows: Vec<PgRow> = self
                .fetch_many(query)
                .try_filter_map(|step| std::future::ready(Ok(step.right())))
                .try_collect()
                .await?;
            Ok(if rows.is_empty() { None } else { Some(rows.swap_remove(0)) })
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let Self { conn, epoch, exchange, .. } = self;
        Box::pin(Self::exchange(epoch, exchange, conn.prepare_with(sql, parameters)))
    }

    #[doc(hidden)]
    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let Self { conn, epoch, exchange, .. } = self;
        Box::pin(Self::exchange(epoch, exchange, conn.describe(sql)))
    }
}

type Step = Either<PgQueryResult, PgRow>;

/// The answer to one statement, as it comes: at its end, and at its failure, the transaction knows.
struct Answer<'e> {
    steps: BoxStream<'e, Result<Step, sqlx::Error>>,
    /// Runs while Postgres says nothing.
    silence: Option<Pin<Box<Sleep>>>,
    epoch: &'e Epoch,
    exchange: &'e mut Exchange,
    records: Option<(&'e mut Journal, Line)>,
    changes_rows: Arc<AtomicBool>,
}

impl Stream for Answer<'_> {
    type Item = Result<Step, sqlx::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.steps.poll_next_unpin(cx) {
            Poll::Ready(step) => {
                this.silence = None;
                Poll::Ready(this.see(step))
            }
            Poll::Pending => {
                let within = this.exchange.within();
                let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(within)));
                ready!(silence.as_mut().poll(cx));
                this.silence = None;
                this.steps = futures_util::stream::empty().boxed();
                Poll::Ready(Some(Err(this.exchange.time_out(this.epoch))))
            }
        }
    }
}

impl Answer<'_> {
    fn see(
        &mut self,
        step: Option<Result<Step, sqlx::Error>>,
    ) -> Option<Result<Step, sqlx::Error>> {
        match step {
            None => {
                self.exchange.end();
                None
            }
            Some(Err(error)) => Some(Err(self.exchange.fail(error, self.epoch).1)),
            Some(Ok(step)) => {
                if step.as_ref().left().is_some_and(|done| done.rows_affected() > 0) {
                    self.exchange.has_written |= self.changes_rows.load(Ordering::Relaxed);
                    if let Some((journal, line)) = self.records.take() {
                        journal.add(line);
                    }
                }
                Some(Ok(step))
            }
        }
    }
}

/// A query that is cached under a name only where the pool allows names.
struct Following<E> {
    query: E,
    statements: Statements,
    /// Told whether the statement is one that changes rows. The text of a query can be had only by
    /// running it.
    changes_rows: Arc<AtomicBool>,
}

/// Whether a statement may change rows, by its first word. The words of comments and of functions that are
/// called do not count: what depends on this is a warning.
fn changes_rows(sql: &str) -> bool {
    let first = sql.trim_start().split(|char: char| !char.is_ascii_alphabetic()).next();
    let is = |word: &str| first.is_some_and(|first| first.eq_ignore_ascii_case(word));
    let later = |word: &str| sql.contains(word);
    ["insert", "update", "delete", "merge"].into_iter().any(is)
        || is("with") && ["insert into ", "update ", "delete from "].into_iter().any(later)
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Following<E> {
    fn sql(self) -> SqlStr {
        let sql = self.query.sql();
        self.changes_rows.store(changes_rows(sql.as_str()), Ordering::Relaxed);
        sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        match self.statements {
            Statements::Named => self.query.persistent(),
            Statements::Unnamed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::changes_rows;

    #[test]
    fn knows_what_changes_rows() {
        for sql in [
            "insert into a values (1)",
            " UPDATE a set b = 1",
            "with n as (delete from a) select 1",
        ] {
            assert!(changes_rows(sql), "{sql}");
        }
        for sql in
            ["select 1 for update", "with n as (select 1) select 1", "rollback", "updated", ""]
        {
            assert!(!changes_rows(sql), "{sql}");
        }
    }
}
