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

use futures_core::future::BoxFuture;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::batch::{Batch, Target};
use super::exchange::{END_READING, Exchange, Fault, Mode};
use super::known_results::KnownResults;
use super::opening::{self, Opening};
use super::seal::{self, SealKey};
use super::tx_conn::{Origin, TxConn};
use super::tx_settings::TxSettings;
use crate::pg::PgError;
use crate::pg::audit_log::{Journal, Line};
use crate::pg::connection::live_connection::{self, Connection};
use crate::pg::connection::pool::Lent;
use crate::pg::connection::pools::Pools;
use crate::pg::connection::statements::Statements;
use crate::shares::Seat;

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
pub(in crate::pg) struct OpenTx {
    conn: Option<Lent>,
    statements: Statements,
    /// What tickets are made with, if its opening needed one.
    key: Option<SealKey>,
    settings: TxSettings,
    known_results: KnownResults,
    exchange: Exchange,
    journal: Journal,
}

impl OpenTx {
    /// Opens a transaction, and returns what the statements of `opening` return. One round trip, or
    /// two where the connection turns out to have been closed by the server while it lay idle: an
    /// opening commits nothing, so it can be sent again. Behind a pooler it is sent once more after that: a fresh
    /// connection to the pooler may be given another of the server's connections that has ended.
    pub(in crate::pg) async fn begin(
        pools: &Pools,
        opening: &Opening,
    ) -> Result<(Self, Vec<PgRow>), PgError> {
        let repetitions = match pools.of(opening.login).statements() {
            Statements::Named => 1,
            Statements::Unnamed => 2,
        };
        let seat = pools.seat(opening.requester).await?;
        let mut opened = Self::attempt(pools, opening, seat).await;
        for _ in 0..repetitions {
            match opened {
                // With the seat that it has: to queue for another would be unfair to the request.
                Err(Failed { to_repeat: Some(seat), .. }) => {
                    let seat = (seat, pools.deadline());
                    opened = Self::attempt(pools, opening, seat).await;
                }
                _ => break,
            }
        }
        opened.map_err(|failed| failed.error)
    }

    /// A transaction that `opening` both opens and ends. One round trip, or two as in
    /// [`begin`](Self::begin) if it only reads: what may have been committed is not sent again.
    pub(in crate::pg) async fn whole(
        pools: &Pools,
        opening: &Opening,
    ) -> Result<Vec<PgRow>, PgError> {
        let (mut tx, rows) = match opening.mode {
            Mode::Read => Self::begin(pools, opening).await?,
            Mode::Write => {
                let seat = pools.seat(opening.requester).await?;
                Self::attempt(pools, opening, seat).await.map_err(|failed| failed.error)?
            }
        };
        drop(tx.conn.take());
        Ok(rows)
    }

    async fn attempt(
        pools: &Pools,
        opening: &Opening,
        (seat, deadline): (Seat, Instant),
    ) -> Result<(Self, Vec<PgRow>), Failed> {
        let key = match pools.known_key().get() {
            _ if !opening.batch.enters() => None,
            None => Some(read_seal_key(pools).await?),
            known => known,
        };
        let connections = pools.of(opening.login);
        let conn = Lent::new(connections.acquire(deadline).await?, seat);
        let statements = connections.statements();
        // A fresh connection that is lost means that Postgres is gone, unless it is one to a pooler.
        let may_have_been_dead = conn.is_reused() || statements == Statements::Unnamed;
        let settings = *pools.settings();
        let within = opening.within.unwrap_or_else(|| settings.answered_within());
        let mut tx = Self {
            conn: Some(conn),
            statements,
            key,
            settings,
            known_results: pools.known_results().clone(),
            exchange: Exchange::new(opening.mode, within),
            journal: Journal::default(),
        };
        match tx.send(&opening.batch).await {
            Ok(rows) => Ok((tx, rows)),
            Err((fault, error)) => {
                let other_key = tx.key.as_ref().filter(|_| seal::is_refused(&error));
                if let Some(key) = other_key {
                    // The database was replaced by another, under the same address.
                    pools.known_key().forget(key);
                }
                let can_be_repeated = other_key.is_some()
                    || may_have_been_dead && matches!(fault, Fault::Lost | Fault::StalePlan);
                let seat = can_be_repeated.then(|| tx.conn.as_mut().map(Lent::take_seat));
                Err(Failed { to_repeat: seat.flatten(), error: error.into() })
            }
        }
    }

    /// Sends a message and reads the answer to its end.
    async fn send(&mut self, message: &Batch) -> Result<Vec<PgRow>, (Fault, sqlx::Error)> {
        let Connection { raw, prepared, backend, epoch, .. } =
            &mut **self.conn.as_mut().expect(OPEN);
        let (statements, backend) = (self.statements, *backend);
        let (key, settings) = (self.key.as_ref(), &self.settings);
        let target = Target { prepared, statements, backend, key, settings };
        let (mut text, new) = message.compose(&target);
        if self.exchange.is_reading {
            text = format!("{END_READING}; {text}");
        }
        self.exchange.begin();
        let answer = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *raw);
        match tokio::time::timeout(self.exchange.within(), answer).await {
            Ok(Ok(rows)) => {
                self.exchange.end();
                self.exchange.is_reading = false;
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

    /// Runs the statements of `message`, and returns what they return. One round trip.
    pub(in crate::pg) async fn send_batch(
        &mut self,
        message: &Batch,
    ) -> Result<Vec<PgRow>, PgError> {
        self.send(message).await.map_err(|(_, error)| error.into())
    }

    /// A place to run one statement of this crate.
    pub(in crate::pg) fn conn(&mut self) -> TxConn<'_> {
        self.place(Origin::Library, None)
    }

    /// A place to run one statement of the embedder's.
    pub(in crate::pg) fn embedders(&mut self, mode: Mode) -> TxConn<'_> {
        self.place(Origin::Embedder(mode), None)
    }

    /// A place to run one statement that is recorded if it has touched a row.
    pub(in crate::pg) fn changing(&mut self, origin: Origin, line: Line) -> TxConn<'_> {
        self.place(origin, Some(line))
    }

    fn place(&mut self, origin: Origin, line: Option<Line>) -> TxConn<'_> {
        let Self { conn, statements, exchange, journal, .. } = self;
        let records = line.map(|line| (journal, line));
        TxConn::new(conn.as_mut().expect(OPEN), *statements, exchange, origin, records)
    }

    /// Whether statements have names here.
    pub(in crate::pg) const fn statements(&self) -> Statements {
        self.statements
    }

    /// The statements whose rows are known to be read from text.
    pub(in crate::pg) const fn known_results(&self) -> &KnownResults {
        &self.known_results
    }

    /// What is to be recorded when this commits.
    pub(in crate::pg) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Ends the transaction and gives the connection back. What it has to record goes along with the
    /// commit, in one message: if it cannot be written, nothing is committed. A commit that Postgres
    /// turns into a rollback is an error.
    pub(in crate::pg) async fn end(self, how: End) -> Result<(), PgError> {
        self.end_after(Batch::default(), how).await.map(drop)
    }

    /// Ends the transaction after the statements of `message`, in one message, and returns their rows.
    pub(in crate::pg) async fn end_after(
        mut self,
        message: Batch,
        how: End,
    ) -> Result<Vec<PgRow>, PgError> {
        let message = match how {
            End::Commit => self.commit_after(message),
            End::Rollback => {
                // It ends the part that only reads as well, failed or not.
                self.exchange.is_reading = false;
                message.text("rollback")
            }
        };
        let rows = self.send(&message).await.map_err(|(_, error)| PgError::of_commit(error))?;
        drop(self.conn.take());
        if matches!(how, End::Commit) {
            self.journal.log();
        }
        Ok(rows)
    }

    fn commit_after(&self, message: Batch) -> Batch {
        let mut message = self.journal.write_in(message);
        // Any statement before the commit fails in a transaction that an error has ended.
        let may_be_lost = self.exchange.mode() == Mode::Write || self.exchange.has_failed;
        if message.is_empty() && may_be_lost {
            message = message.text(ASSERT_NOT_FAILED);
        }
        message.text("commit")
    }
}

const OPEN: &str = "an OpenTx holds its connection until it has ended";

/// Reads the key of the seal: when it is first needed, and when it has changed.
///
/// In a box, since it is read in a transaction, and transactions need it.
fn read_seal_key(pools: &Pools) -> BoxFuture<'_, Result<SealKey, PgError>> {
    Box::pin(async {
        let key = SealKey::read(&OpenTx::whole(pools, &opening::of_seal_key()).await?)?;
        pools.known_key().learn(&key);
        Ok(key)
    })
}

/// How a transaction ends.
#[derive(Clone, Copy)]
pub(in crate::pg) enum End {
    Commit,
    Rollback,
}

/// A transaction that was not opened.
struct Failed {
    error: PgError,
    /// The seat, if the connection may have been dead before anything was sent, so that a fresh one may do.
    to_repeat: Option<Seat>,
}

impl From<PgError> for Failed {
    fn from(error: PgError) -> Self {
        Self { error, to_repeat: None }
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
            // Without a runtime the connection cannot be ended in order: the socket is closed.
            return drop(conn.detach());
        };
        if is_ready {
            runtime.spawn(roll_back(conn));
        } else {
            runtime.spawn(live_connection::close(vec![conn.detach()]));
        }
    }
}

/// Ends a transaction that was left open. If that fails or takes too long, the connection is closed.
async fn roll_back(mut conn: Lent) {
    let rollback = sqlx::raw_sql("rollback").execute(&mut conn.raw);
    match tokio::time::timeout(ROLLBACK_WITHIN, rollback).await {
        Ok(Ok(_)) => drop(conn),
        Ok(Err(_)) | Err(_) => {
            conn.epoch.end();
            live_connection::close(vec![conn.detach()]).await;
        }
    }
}
