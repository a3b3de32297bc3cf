//! Failures, sorted by what a caller can do about them.

use sqlx::Error as SqlxError;

/// A failed conversation with Postgres, sorted by what a caller can do about it.
///
/// Neither variant's text holds values of rows: those stay in the source, for logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PgError {
    /// The statement was refused or the answer not understood: a bug, or a constraint that the
    /// caller maps at the query (see [`constraint`](Self::constraint)).
    #[error("database refused a statement")]
    Database(#[source] SqlxError),
    /// Out of reach, overloaded, timed out, shutting down or read-only: try again later.
    #[error("database is not available")]
    Unavailable(#[source] SqlxError),
}

impl PgError {
    /// The name of the constraint that was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        let (Self::Database(error) | Self::Unavailable(error)) = self;
        error.as_database_error()?.constraint()
    }
}

impl From<SqlxError> for PgError {
    fn from(error: SqlxError) -> Self {
        if is_transient(&error) { Self::Unavailable(error) } else { Self::Database(error) }
    }
}

fn is_transient(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::PoolClosed
        | SqlxError::PoolTimedOut
        | SqlxError::Protocol(_)
        | SqlxError::Tls(_)
        | SqlxError::WorkerCrashed => true,
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
    const CODES: [&str; 8] = [
        "0A000", // a write on a standby; a plan whose columns a migration has changed
        "25006", // read-only transaction: a standby, or a fail-over under way
        "25P03", // idle in transaction for too long
        "55P03", // lock not available: lock_timeout
        "57014", // query cancelled: statement_timeout
        "57P01", // administrator shut it down
        "57P02", // crashed
        "57P03", // starting up
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_what_can_be_done() {
        for code in ["08006", "0A000", "40P01", "53300", "55P03", "57014", "57P01", "25006"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["23505", "42501", "22P02", "42P01", "25P02"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(matches!(PgError::from(SqlxError::PoolTimedOut), PgError::Unavailable(_)));
        assert!(matches!(PgError::from(SqlxError::RowNotFound), PgError::Database(_)));
    }
}
