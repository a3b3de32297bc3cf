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

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::PgError;
use super::audit_log::{Journal, Line};
use super::connections::{self, Connection, Lease};
use super::database::{Database, Statements};
use super::exchange::{Exchange, Fault, Mode};
use super::message::Message;
use super::opening::Opening;
use super::tx_conn::TxConn;

/// How long a rollback in the background may take before the connection is closed instead.
const ROLLBACK_WITHIN: Duration = Duration::from_secs(2);

/// Fails in a transaction that an earlier error has ended, where `commit` alone would be answered by a
/// rollback and no error. In any other it does what the commit does next.
const ASSERT_NOT_FAILED: &str = "set constraints all immediate";

/// A connection inside a transaction.
///
/// INVARIANT: `conn` is `Some` until the end has been acknowledged. Dropped before that, an idle
/// connection is rolled back in the background and any other is closed; neither can reach another
/// user inside the transaction. A connection on which anything failed but a statement of Postgres'
/// own refusal is closed, and never used again.
pub(super) struct OpenTx {
    conn: Option<Lease>,
    statements: Statements,
    exchange: Exchange,
    journal: Journal,
}

impl OpenTx {
    /// Opens a transaction, and returns what the statements of `opening` return. One round trip, or
    /// two where the connection turns out to have been closed by the server while it lay idle: an
    /// opening commits nothing, so it can be said again.
    pub(super) async fn begin(
        database: &Database,
        opening: &Opening,
    ) -> Result<(Self, Vec<PgRow>), PgError> {
        let first = Self::attempt(database, opening).await;
        match first {
            Err(Failed { can_be_repeated: true, .. }) => Self::attempt(database, opening).await,
            first => first,
        }
        .map_err(|failed| failed.error)
    }

    /// A transaction that `opening` both opens and ends. One round trip, or two as in
    /// [`begin`](Self::begin) if it only reads: what may have been committed is not said again.
    pub(super) async fn whole(
        database: &Database,
        opening: &Opening,
    ) -> Result<Vec<PgRow>, PgError> {
        let (mut tx, rows) = match opening.mode {
            Mode::Read => Self::begin(database, opening).await?,
            Mode::Write => Self::attempt(database, opening).await.map_err(|failed| failed.error)?,
        };
        drop(tx.conn.take());
        Ok(rows)
    }

    async fn attempt(database: &Database, opening: &Opening) -> Result<(Self, Vec<PgRow>), Failed> {
        let (conn, statements) = (database.acquire().await?, database.statements());
        let was_idle = conn.is_reused();
        let exchange = Exchange::new(opening.mode, opening.within);
        let mut tx = Self { conn: Some(conn), statements, exchange, journal: Journal::default() };
        match tx.send(&opening.message).await {
            Ok(rows) => Ok((tx, rows)),
            Err((fault, error)) => Err(Failed {
                can_be_repeated: was_idle && matches!(fault, Fault::Lost | Fault::StalePlan),
                error: error.into(),
            }),
        }
    }

    /// Sends a message and reads the answer to its end.
    async fn send(&mut self, message: &Message) -> Result<Vec<PgRow>, (Fault, sqlx::Error)> {
        let Connection { raw, prepared, epoch, .. } = &mut **self.conn.as_mut().expect(OPEN);
        let (text, new) = message.compose(prepared, self.statements);
        self.exchange.begin();
        let answer = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *raw);
        match tokio::time::timeout(self.exchange.within(), answer).await {
            Ok(Ok(rows)) => {
                self.exchange.end();
                for sql in new {
                    prepared.learn(sql);
                }
                Ok(rows)
            }
            Ok(Err(error)) => {
                let failed = self.exchange.fail(error, epoch);
                // It is not known which of the new statements are there, and no name may be given twice.
                if !new.is_empty() {
                    self.exchange.give_up();
                }
                Err(failed)
            }
            Err(_) => Err((Fault::Silence, self.exchange.time_out(epoch))),
        }
    }

    /// A place to run one statement.
    pub(super) fn conn(&mut self) -> TxConn<'_> {
        let Self { conn, statements, exchange, .. } = self;
        TxConn::new(conn.as_mut().expect(OPEN), *statements, exchange, None)
    }

    /// A place to run one statement that is recorded if it has touched a row.
    pub(super) fn changing(&mut self, line: Line) -> TxConn<'_> {
        let Self { conn, statements, exchange, journal } = self;
        TxConn::new(conn.as_mut().expect(OPEN), *statements, exchange, Some((journal, line)))
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
    /// commit, in one message: if it cannot be written, nothing is committed. A commit that Postgres
    /// turns into a rollback is an error.
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
            End::Commit => self.commit_after(message),
            End::Rollback => message.say("rollback"),
        };
        let rows = self.send(&message).await.map_err(|(_, error)| PgError::of_commit(error))?;
        drop(self.conn.take());
        if matches!(how, End::Commit) {
            self.journal.tell();
        }
        Ok(rows)
    }

    fn commit_after(&self, message: Message) -> Message {
        let mut message = self.journal.write_in(message);
        // Any statement before the commit fails in a transaction that an error has ended.
        let may_be_lost = self.exchange.mode() == Mode::Write || self.exchange.has_failed;
        if message.is_empty() && may_be_lost {
            message = message.say(ASSERT_NOT_FAILED);
        }
        message.say("commit")
    }
}

const OPEN: &str = "an OpenTx holds its connection until it has ended";

/// How a transaction ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    Commit,
    Rollback,
}

/// A transaction that was not opened.
struct Failed {
    error: PgError,
    /// Whether the connection may have been dead before anything was sent, so that a fresh one may do.
    can_be_repeated: bool,
}

impl From<PgError> for Failed {
    fn from(error: PgError) -> Self {
        Self { error, can_be_repeated: false }
    }
}

impl Drop for OpenTx {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let is_ready = self.exchange.is_ready();
        // After an error, or in the middle of a statement, leaving is what the caller means to do.
        if is_ready && self.exchange.has_written && !self.exchange.has_failed {
            tracing::warn!(
                "a transaction that has changed rows was dropped without commit or rollback; \
                 its changes are rolled back"
            );
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // No good-bye can be said: the socket is closed.
            return drop(Lease::take(conn));
        };
        if is_ready {
            runtime.spawn(roll_back(conn));
        } else {
            let conn = Lease::take(conn);
            runtime.spawn(connections::close(vec![conn]));
        }
    }
}

/// Ends a transaction that was left open. If that fails or takes too long, the connection is closed.
async fn roll_back(mut conn: Lease) {
    let rollback = sqlx::raw_sql("rollback").execute(&mut conn.raw);
    match tokio::time::timeout(ROLLBACK_WITHIN, rollback).await {
        Ok(Ok(_)) => drop(conn),
        Ok(Err(_)) | Err(_) => {
            conn.epoch.end();
            connections::close(vec![Lease::take(conn)]).await;
        }
    }
}
