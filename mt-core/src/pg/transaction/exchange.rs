//! What exchanges with Postgres leave a connection in.

use std::time::{Duration, Instant};

use sqlx::Error as SqlxError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::error::WriteInReadTransaction;
use super::shown_error::ShownError;
use crate::access::Effect;
use crate::pg::connection::live_connection::Epoch;

/// An exchange that takes longer is logged, without its text: values are part of some.
const SLOW: Duration = Duration::from_secs(1);

/// What a transaction was opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Mode {
    Read,
    Write,
}

impl Mode {
    /// What a permission with this effect may do.
    pub(in crate::pg) const fn of(effect: Effect) -> Self {
        match effect {
            Effect::Read => Self::Read,
            Effect::Write => Self::Write,
        }
    }
}

/// How an exchange failed, and with it whether the connection can still be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Fault {
    /// Postgres answered this statement with an error. The connection is as good as before.
    Answer,
    /// A statement that the connection had prepared is not there or does not fit the schema any more.
    StalePlan,
    /// The connection has ended, or nothing on it can be relied upon.
    Lost,
    /// No answer came in time.
    Silence,
}

impl Fault {
    /// Sorts an error of the driver.
    pub(in crate::pg) fn of(error: &SqlxError) -> Self {
        let SqlxError::Database(error) = error else { return Self::Lost };
        let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else { return Self::Answer };
        let is_final = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        match error.code() {
            _ if is_final => Self::Lost,
            // A pooler reports what befell the server's connection as an error of the statement.
            code if code.starts_with("08") || code.starts_with("57P") => Self::Lost,
            "26000" | "42P05" => Self::StalePlan,
            // "Feature not supported" is also the code for a plan that a migration has invalidated.
            "0A000" if error.routine() == Some("RevalidateCachedQuery") => Self::StalePlan,
            _ => Self::Answer,
        }
    }

    /// Whether other connections of the same age have probably met the same.
    fn concerns_others(self, error: &SqlxError) -> bool {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match self {
            Self::Answer => false,
            // A transaction of this one connection had outlived its time.
            Self::Lost => !matches!(code.as_deref(), Some("25P03" | "25P04")),
            Self::StalePlan | Self::Silence => true,
        }
    }
}

/// The exchanges of one transaction.
#[derive(Debug)]
pub(in crate::pg) struct Exchange {
    mode: Mode,
    /// How long Postgres may be silent.
    within: Duration,
    state: State,
    begun: Instant,
    /// Whether Postgres has answered a statement with an error.
    pub(in crate::pg) has_failed: bool,
    /// Whether a statement has changed rows.
    pub(in crate::pg) has_written: bool,
    /// Whether Postgres is in a part of the transaction that only reads.
    pub(in crate::pg) is_reading: bool,
}

/// Begins a part that only reads, in a transaction that may write. Postgres holds to it whatever a statement calls, and
/// nothing but the end of the part takes it back.
/// <https://www.postgresql.org/docs/current/sql-set-transaction.html>
pub(in crate::pg) const BEGIN_READING: &str = "savepoint mt_reading; set transaction read only";
/// Ends it.
pub(in crate::pg) const END_READING: &str = "release savepoint mt_reading";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The last answer was read to its end.
    Ready,
    /// A statement was sent, and its answer was not read to the end.
    Busy,
    /// Nothing may be sent any more.
    Broken,
}

impl Exchange {
    pub(in crate::pg) fn new(mode: Mode, within: Duration) -> Self {
        let (state, begun) = (State::Busy, Instant::now());
        let (has_failed, has_written, is_reading) = (false, false, false);
        Self { mode, within, state, begun, has_failed, has_written, is_reading }
    }

    pub(in crate::pg) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(in crate::pg) const fn within(&self) -> Duration {
        self.within
    }

    /// Whether another statement may be sent.
    pub(in crate::pg) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// A statement is about to be sent.
    pub(in crate::pg) fn begin(&mut self) {
        self.begun = Instant::now();
        if self.state == State::Ready {
            self.state = State::Busy;
        }
    }

    /// The answer was read to its end.
    pub(in crate::pg) fn end(&mut self) {
        if self.state == State::Busy {
            self.state = State::Ready;
        }
        let took = self.begun.elapsed();
        if took >= SLOW {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            // The span has the id of the request.
            tracing::warn!(took_ms, failed = self.has_failed, "Postgres was slow to answer");
        }
    }

    /// Nothing is known about the connection any more: it is not to be used again.
    pub(in crate::pg) fn give_up(&mut self) {
        self.state = State::Broken;
    }

    /// The exchange has failed. Returns the error as the caller is to see it.
    pub(in crate::pg) fn fail(&mut self, error: SqlxError, epoch: &Epoch) -> (Fault, SqlxError) {
        let fault = Fault::of(&error);
        self.note(fault, &error, epoch);
        let error = ShownError::of(error);
        let error = match self.mode {
            Mode::Write if !self.is_reading => error,
            Mode::Read | Mode::Write => WriteInReadTransaction::sort(error),
        };
        (fault, error)
    }

    /// No answer came in time. Returns the error that says so.
    pub(in crate::pg) fn time_out(&mut self, epoch: &Epoch) -> SqlxError {
        let text = format!("Postgres did not answer within {} s", self.within.as_secs());
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, text).into();
        self.note(Fault::Silence, &error, epoch);
        error
    }

    fn note(&mut self, fault: Fault, error: &SqlxError, epoch: &Epoch) {
        self.has_failed = true;
        if fault == Fault::Answer {
            // The driver reads the rest of the answer before it sends the next statement.
            self.end();
        } else {
            self.give_up();
        }
        if fault.concerns_others(error) {
            epoch.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_postgres_keep_a_connection() {
        let lost = [
            SqlxError::Io(std::io::ErrorKind::BrokenPipe.into()),
            SqlxError::Protocol("unexpected message".into()),
            SqlxError::WorkerCrashed,
            SqlxError::RowNotFound,
        ];
        for error in lost {
            assert_eq!(Fault::of(&error), Fault::Lost, "{error}");
        }
    }

    #[test]
    fn what_is_broken_stays_broken() {
        let mut exchange = Exchange::new(Mode::Write, Duration::from_secs(1));
        exchange.end();
        assert!(exchange.is_ready());
        exchange.begin();
        assert!(!exchange.is_ready());
        exchange.give_up();
        exchange.begin();
        exchange.end();
        assert!(!exchange.is_ready());
    }
}
