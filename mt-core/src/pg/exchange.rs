//! What exchanges with Postgres leave a connection in.

use std::time::Duration;

use sqlx::Error as SqlxError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::connections::Epoch;
use super::error::WriteInReadTransaction;

/// What a transaction was opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Read,
    Write,
}

/// How an exchange failed, by what that says about the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
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
    pub(super) fn of(error: &SqlxError) -> Self {
        let SqlxError::Database(error) = error else { return Self::Lost };
        let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else { return Self::Answer };
        let is_final = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        match error.code() {
            _ if is_final => Self::Lost,
            // A pooler reports what befell the server's connection as an error of the statement.
            code if code.starts_with("08") || code.starts_with("57P") => Self::Lost,
            "26000" | "42P05" => Self::StalePlan,
            // Feature not supported, of which one is a plan that a migration has invalidated.
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
pub(super) struct Exchange {
    mode: Mode,
    /// How long Postgres may be silent.
    within: Duration,
    state: State,
    /// Whether Postgres has answered a statement with an error.
    pub(super) has_failed: bool,
    /// Whether a statement has changed rows.
    pub(super) has_written: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The last answer was read to its end.
    Ready,
    /// A statement was sent whose answer was not read to its end.
    Busy,
    /// Nothing may be sent any more.
    Broken,
}

impl Exchange {
    pub(super) const fn new(mode: Mode, within: Duration) -> Self {
        Self { mode, within, state: State::Busy, has_failed: false, has_written: false }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) const fn within(&self) -> Duration {
        self.within
    }

    /// Whether another statement may be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// A statement is about to be sent.
    pub(super) fn begin(&mut self) {
        if self.state == State::Ready {
            self.state = State::Busy;
        }
    }

    /// The answer was read to its end.
    pub(super) fn end(&mut self) {
        if self.state == State::Busy {
            self.state = State::Ready;
        }
    }

    /// Nothing is known about the connection any more: it is not to be used again.
    pub(super) fn give_up(&mut self) {
        self.state = State::Broken;
    }

    /// The exchange has failed. Returns the error as the caller is to see it.
    pub(super) fn fail(&mut self, error: SqlxError, epoch: &Epoch) -> (Fault, SqlxError) {
        let fault = Fault::of(&error);
        self.note(fault, &error, epoch);
        let error = match self.mode {
            Mode::Read => WriteInReadTransaction::sort(error),
            Mode::Write => error,
        };
        (fault, error)
    }

    /// No answer came in time. Returns the error that says so.
    pub(super) fn time_out(&mut self, epoch: &Epoch) -> SqlxError {
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
