//! Failures, sorted by what a caller can do about them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use sqlx::Error as SqlxError;
use sqlx::error::{DatabaseError, ErrorKind};

/// A database error, sorted by what a caller can do about it.
///
/// No variant's text holds values of rows: those stay in the source, for logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PgError {
    /// Postgres refused the statement, or its answer was not understood: a bug, or a constraint that
    /// the caller maps at the query (see [`constraint`](Self::constraint)).
    #[error("database refused a statement")]
    Database(#[source] SqlxError),
    /// `commit` was called after a statement had failed whose error the caller did not return. Postgres
    /// rolls such a transaction back: nothing of it is stored.
    #[error("nothing was committed: an earlier statement of the transaction had failed")]
    RolledBack(#[source] SqlxError),
    /// The database is out of reach, overloaded, timed out, shutting down or read-only: try again later.
    #[error("database is not available")]
    Unavailable(#[source] SqlxError),
}

impl PgError {
    /// The name of the constraint that was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.driver_error().as_database_error()?.constraint()
    }

    /// The error as the driver reported it.
    #[must_use]
    pub(in crate::pg) const fn driver_error(&self) -> &SqlxError {
        let (Self::Database(error) | Self::RolledBack(error) | Self::Unavailable(error)) = self;
        error
    }

    /// Returns the driver's error.
    pub(in crate::pg) fn into_driver_error(self) -> SqlxError {
        let (Self::Database(error) | Self::RolledBack(error) | Self::Unavailable(error)) = self;
        error
    }

    /// What the answer to a commit means.
    pub(in crate::pg) fn of_commit(error: SqlxError) -> Self {
        if code_is(&error, IN_FAILED_TRANSACTION) { Self::RolledBack(error) } else { error.into() }
    }
}

impl From<SqlxError> for PgError {
    fn from(error: SqlxError) -> Self {
        if is_transient(&error) { Self::Unavailable(error) } else { Self::Database(error) }
    }
}

/// A statement was sent to a transaction that an earlier error had ended.
const IN_FAILED_TRANSACTION: &str = "25P02";
/// A statement would write where writing is not allowed.
const READ_ONLY: &str = "25006";

fn code_is(error: &SqlxError, code: &str) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|found| found == code)
}

fn is_transient(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::PoolClosed
        | SqlxError::PoolTimedOut
        | SqlxError::Protocol(_)
        | SqlxError::Tls(_)
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(error)
            if error.try_downcast_ref::<WriteInReadTransaction>().is_some() =>
        {
            false
        }
        SqlxError::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

/// Codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html> after which the same
/// request may well succeed.
fn is_transient_code(code: &str) -> bool {
    const CLASSES: [&str; 4] = [
        "08", // connection exception
        "40", // transaction rollback: deadlock, serialization
        "53", // insufficient resources: connections, memory, disk
        "58", // system error
    ];
    const CODES: [&str; 14] = [
        "0A000",   // a plan whose columns a migration has changed
        READ_ONLY, // a standby, a fail-over under way, or a database that its operator has set read-only
        "25P03",   // idle in transaction for too long
        "25P04",   // transaction_timeout
        "26000", // a prepared statement that the session does not have: another one behind a pooler
        "42P05", // one that it has already
        "55P03", // lock not available: lock_timeout
        "57014", // query cancelled: statement_timeout
        "57P01", // administrator shut it down
        "57P02", // crashed
        "57P03", // starting up
        "57P04", // the database was dropped
        "57P05", // idle_session_timeout
        "3D000", // the database is not there: it is being restored
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

/// A write in a transaction that was opened to read. Elsewhere the same code means that the database
/// takes no writes at present; here the program is wrong, and trying again does not help.
pub(in crate::pg) struct WriteInReadTransaction(Box<dyn DatabaseError>);

impl WriteInReadTransaction {
    /// Sorts an error that a transaction opened to read has met.
    pub(in crate::pg) fn sort(error: SqlxError) -> SqlxError {
        match error {
            SqlxError::Database(source) if source.code().as_deref() == Some(READ_ONLY) => {
                SqlxError::Database(Box::new(Self(source)))
            }
            other => other,
        }
    }
}

impl DatabaseError for WriteInReadTransaction {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}

impl StdError for WriteInReadTransaction {}

impl fmt::Debug for WriteInReadTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteInReadTransaction").field(&self.0).finish()
    }
}

impl fmt::Display for WriteInReadTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a statement would write in a transaction opened to read: {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_what_can_be_done() {
        for code in [
            "08006", "08P01", "0A000", "40P01", "53300", "55P03", "57014", "57P01", "57P02",
            "57P03", "57P04", "57P05", "25006", "26000", "42P05",
        ] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["23505", "42501", "22P02", "42P01", "25P02"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(matches!(PgError::from(SqlxError::PoolTimedOut), PgError::Unavailable(_)));
        assert!(matches!(PgError::from(SqlxError::RowNotFound), PgError::Database(_)));
    }
}
