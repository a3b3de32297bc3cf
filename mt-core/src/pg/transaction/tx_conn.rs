//! A place to run one statement of a transaction.

use std::pin::Pin;
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

use super::exchange::{BEGIN_READING, END_READING, Exchange, Mode};
use super::statement;
use crate::pg::audit_log::{Journal, Line};
use crate::pg::connection::live_connection::{Connection, Epoch};
use crate::pg::connection::statements::Statements;

/// A connection inside a transaction, for one statement: an sqlx [`Executor`].
///
/// It is not a `PgConnection`, so the transaction cannot be ended or nested behind the back of its
/// owner by `begin`, and it follows the pool's choice between named and unnamed statements
/// (see [`Statements`]).
///
/// # What is run
///
/// One statement that begins with `select`, `insert`, `update`, `delete`, `merge`, `with`, `values` or `table`. Any other
/// is an error before it is sent: `commit`, `set role` and the like are not for the text of a statement. Every text is
/// sent as one statement, so Postgres refuses a second one behind a semicolon, also by [`sqlx::raw_sql`].
///
/// Under a permission that reads, Postgres refuses every change, by a statement or by a function that it calls. In a transaction that may write this costs a round trip when a statement that reads
/// comes after the opening or after one that writes, and another when the next one writes.
pub struct TxConn<'t> {
    conn: &'t mut PgConnection,
    epoch: &'t Epoch,
    statements: Statements,
    exchange: &'t mut Exchange,
    origin: Origin,
    /// What is recorded, and where, if the statement touches a row.
    records: Option<(&'t mut Journal, Line)>,
}

/// Where a statement comes from, which decides what it may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Origin {
    /// This crate's: anything.
    Library,
    /// The embedder's, under a permission that reads or writes.
    Embedder(Mode),
}

impl Origin {
    /// Refuses what an embedder may not run.
    fn check(self, sql: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Library => Ok(()),
            Self::Embedder(_) => statement::checked(sql),
        }
    }
}

impl<'t> TxConn<'t> {
    pub(in crate::pg) fn new(
        connection: &'t mut Connection,
        statements: Statements,
        exchange: &'t mut Exchange,
        origin: Origin,
        records: Option<(&'t mut Journal, Line)>,
    ) -> Self {
        let Connection { raw, epoch, .. } = connection;
        Self { conn: raw, epoch, statements, exchange, origin, records }
    }

    /// What is sent before the statement, to switch between reading and writing.
    fn turn(&self) -> Option<&'static str> {
        let reads =
            self.exchange.mode() == Mode::Write && self.origin == Origin::Embedder(Mode::Read);
        match (self.exchange.is_reading, reads) {
            (false, true) => Some(BEGIN_READING),
            (true, false) => Some(END_READING),
            (false, false) | (true, true) => None,
        }
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
        let statement = Statement::of(query, self.origin, self.statements);
        let turn = self.turn();
        let Self { conn, epoch, exchange, records, .. } = self;
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => {
                return futures_util::stream::once(std::future::ready(Err(error))).boxed();
            }
        };
        let Some(turn) = turn else {
            return Answer::to(statement, conn, epoch, exchange, records).boxed();
        };
        let turned = async move {
            let done = (&mut *conn).execute(sqlx::raw_sql(turn));
            TxConn::exchange(epoch, exchange, done).await?;
            exchange.is_reading = turn == BEGIN_READING;
            Ok::<_, sqlx::Error>(Answer::to(statement, conn, epoch, exchange, records))
        };
        futures_util::stream::once(turned).try_flatten().boxed()
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
        let checked = self.origin.check(sql.as_str());
        let Self { conn, epoch, exchange, .. } = self;
        Box::pin(async move {
            checked?;
            Self::exchange(epoch, exchange, conn.prepare_with(sql, parameters)).await
        })
    }

    #[doc(hidden)]
    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let checked = self.origin.check(sql.as_str());
        let Self { conn, epoch, exchange, .. } = self;
        Box::pin(async move {
            checked?;
            Self::exchange(epoch, exchange, conn.describe(sql)).await
        })
    }
}

type Step = Either<PgQueryResult, PgRow>;

/// The answer to one statement, as it comes: at its end, and at its failure, the transaction knows.
struct Answer<'e> {
    steps: BoxStream<'e, Result<Step, sqlx::Error>>,
    /// Runs while Postgres is silent.
    silence: Option<Pin<Box<Sleep>>>,
    epoch: &'e Epoch,
    exchange: &'e mut Exchange,
    records: Option<(&'e mut Journal, Line)>,
    changes_rows: bool,
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

impl<'e> Answer<'e> {
    /// Sends the statement.
    fn to(
        statement: Statement,
        conn: &'e mut PgConnection,
        epoch: &'e Epoch,
        exchange: &'e mut Exchange,
        records: Option<(&'e mut Journal, Line)>,
    ) -> Self {
        exchange.begin();
        let changes_rows = changes_rows(statement.sql.as_str());
        let steps = conn.fetch_many(statement);
        Self { steps, silence: None, epoch, exchange, records, changes_rows }
    }

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
                    self.exchange.has_written |= self.changes_rows;
                    if let Some((journal, line)) = self.records.take() {
                        journal.add(line);
                    }
                }
                Some(Ok(step))
            }
        }
    }
}

/// A statement taken apart, as it is sent.
struct Statement {
    sql: SqlStr,
    /// Its values; without, it goes by the protocol that takes several statements in one text.
    arguments: Option<PgArguments>,
    prepared: Option<PgStatement>,
    /// Whether it is cached under a name: only where the pool allows names.
    persistent: bool,
}

impl Statement {
    /// Takes `query` apart and looks whether it may be run.
    fn of<'q>(
        mut query: impl Execute<'q, Postgres>,
        origin: Origin,
        statements: Statements,
    ) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let arguments = match origin {
            Origin::Library => arguments,
            Origin::Embedder(_) => Some(arguments.unwrap_or_default()),
        };
        let prepared = query.statement().cloned();
        let persistent = statements == Statements::Named && query.persistent();
        let sql = query.sql();
        origin.check(sql.as_str())?;
        Ok(Self { sql, arguments, prepared, persistent })
    }
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

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
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
