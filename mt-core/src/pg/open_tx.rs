//! One open transaction and the connection it lives on.
//!
//! Why not sqlx's own `Transaction`: in 0.9.0 a future dropped while BEGIN is under way leaves the
//! connection inside the transaction and gives it back to the pool
//! (<https://github.com/launchbadge/sqlx/issues/4393>). The next user then sees another tenant's
//! rows, or has its writes acknowledged and rolled back. Here the connection is owned from before the
//! first byte of BEGIN, and goes back only after the server has acknowledged the end.
//!
//! Why not sqlx's own pool either: it asks the server for a sign of life whenever a connection is given
//! back, which no request waits for and each pays for, and which tells nothing about a connection of
//! which the end of the transaction was just acknowledged.

use std::time::Duration;

use either::Either;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres,
};
use sqlx::{AssertSqlSafe, Execute, Executor, SqlStr};

use super::PgError;
use super::audit_log::{Journal, Line};
use super::connections::{self, Connection, Lease, Pool};
use super::database::{Database, Statements};
use super::message::Message;

/// How long a rollback that nobody waits for may take before the connection is closed instead.
const ROLLBACK_WITHIN: Duration = Duration::from_secs(2);

/// A connection inside a transaction.
///
/// INVARIANT: `conn` is `Some` until the end has been acknowledged. Dropped before that, an idle
/// connection is rolled back in the background and a busy one is closed; neither can reach another
/// user inside the transaction.
pub(super) struct OpenTx {
    conn: Option<Lease>,
    pool: Pool,
    statements: Statements,
    /// Whether a statement was sent whose answer has not been read to its end.
    busy: bool,
    journal: Journal,
}

impl OpenTx {
    /// Opens a transaction with `begin`, which may hold several statements, and returns what they
    /// return. One round trip.
    pub(super) async fn begin(
        database: &Database,
        begin: impl Into<Message>,
    ) -> Result<(Self, Vec<PgRow>), PgError> {
        let (conn, statements) = (database.acquire().await?, database.statements());
        let (conn, pool) = (Some(conn), database.pool());
        let mut tx = Self { conn, pool, statements, busy: true, journal: Journal::default() };
        let rows = tx.send(begin.into()).await?;
        Ok((tx, rows))
    }

    /// A transaction that `message` both opens and ends. One round trip.
    pub(super) async fn whole(
        database: &Database,
        message: impl Into<Message>,
    ) -> Result<Vec<PgRow>, PgError> {
        let (mut tx, rows) = Self::begin(database, message).await?;
        drop(tx.conn.take());
        Ok(rows)
    }

    /// Sends a message and reads the answer to its end.
    async fn send(&mut self, message: Message) -> Result<Vec<PgRow>, PgError> {
        let Connection { raw, prepared, .. } = &mut **self.conn.as_mut().expect(OPEN);
        let (text, new) = message.compose(prepared, self.statements);
        self.busy = true;
        let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *raw).await;
        // After an error it is not known which of the new statements are there, and no name may be given
        // twice: then the connection stays busy, which means that it goes.
        self.busy = rows.is_err() && !new.is_empty();
        let rows = rows?;
        for sql in new {
            prepared.learn(sql);
        }
        Ok(rows)
    }

    /// A place to run one statement.
    pub(super) fn conn(&mut self) -> TxConn<'_> {
        let Self { conn, statements, busy, .. } = self;
        let conn = &mut conn.as_mut().expect(OPEN).raw;
        TxConn { conn, statements: *statements, busy, records: None }
    }

    /// A place to run one statement that is recorded if it has touched a row.
    pub(super) fn changing(&mut self, line: Line) -> TxConn<'_> {
        let Self { conn, statements, busy, journal, .. } = self;
        let conn = &mut conn.as_mut().expect(OPEN).raw;
        TxConn { conn, statements: *statements, busy, records: Some((journal, line)) }
    }

    /// Whether statements have names here.
    pub(super) const fn statements(&self) -> Statements {
        self.statements
    }

    /// What is to be recorded when this commits.
    pub(super) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Ends the transaction and gives the connection back. What it has to record goes along with the
    /// commit, in one message: if it cannot be written, nothing is committed.
    pub(super) async fn end(self, how: End) -> Result<(), PgError> {
        self.end_after(Message::default(), how).await.map(drop)
    }

    /// The same, with statements that go before it in the same message, and what they return.
    pub(super) async fn end_after(
        mut self,
        message: Message,
        how: End,
    ) -> Result<Vec<PgRow>, PgError> {
        let message = match how {
            End::Commit => self.journal.write_in(message).say("commit"),
            End::Rollback => message.say("rollback"),
        };
        let rows = self.send(message).await?;
        drop(self.conn.take());
        if matches!(how, End::Commit) {
            self.journal.tell();
        }
        Ok(rows)
    }
}

const OPEN: &str = "an OpenTx holds its connection until it has ended";

/// How a transaction ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    Commit,
    Rollback,
}

impl Drop for OpenTx {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // Nobody can say good-bye: the socket is closed.
            return drop(Lease::take(conn));
        };
        let pool = self.pool.clone();
        if self.busy {
            let conn = Lease::take(conn);
            runtime.spawn(async move {
                connections::close(vec![conn]).await;
            });
            // Those who wait may hang up as well, and a connection that they were making goes with
            // them. So somebody who does not hang up makes the next one.
            runtime.spawn(async move { drop(pool.get().await) });
        } else {
            let (conn, statements) = (Some(conn), self.statements);
            let rollback = Self { conn, pool, statements, busy: true, journal: Journal::default() };
            runtime.spawn(async move {
                // Late or failed, the inner drop finds it busy and closes the connection.
                let _ = tokio::time::timeout(ROLLBACK_WITHIN, rollback.end(End::Rollback)).await;
            });
        }
    }
}

/// A connection inside a transaction, for one statement: an sqlx [`Executor`].
///
/// It is not a `PgConnection`, so the transaction cannot be ended or nested behind the back of its
/// owner by `begin`, and it follows the pool's choice between named and unnamed statements
/// (see [`Statements`]).
pub struct TxConn<'t> {
    conn: &'t mut PgConnection,
    statements: Statements,
    busy: &'t mut bool,
    /// What is recorded, and where, if the statement touches a row.
    records: Option<(&'t mut Journal, Line)>,
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
        let Self { conn, statements, busy, mut records } = self;
        *busy = true;
        let answer = conn.fetch_many(Following { query, statements });
        let answer = answer.inspect(move |step| {
            let touched = matches!(step, Ok(Either::Left(done)) if done.rows_affected() > 0);
            if touched && let Some((journal, line)) = records.take() {
                journal.add(line);
            }
        });
        // The last thing the stream does is to note that nothing is left to read.
        let at_end = stream::once(async move {
            *busy = false;
            None
        });
        answer.map(Some).chain(at_end).filter_map(std::future::ready).boxed()
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
        let Self { conn, busy, .. } = self;
        Box::pin(async move {
            *busy = true;
            let statement = conn.prepare_with(sql, parameters).await;
            *busy = false;
            statement
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
        let Self { conn, busy, .. } = self;
        Box::pin(async move {
            *busy = true;
            let described = conn.describe(sql).await;
            *busy = false;
            described
        })
    }
}

/// A query that is cached under a name only where the pool allows names.
struct Following<E> {
    query: E,
    statements: Statements,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Following<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
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
