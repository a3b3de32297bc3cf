//! Errors of Postgres as they are shown: without values of rows or parameters.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use sqlx::Error as SqlxError;
use sqlx::error::{DatabaseError, ErrorKind};

/// An error of Postgres without the users' values: `Display` and `Debug` leave them out.
///
/// Postgres writes values into the detail and the context of an error (`Key (email)=(…)`, `Failing row contains
/// (…)`), which `Debug` of the driver's error prints, and for some codes into the message itself. Code,
/// constraint and table are kept. [`DatabaseError::try_downcast_ref`] still finds the driver's error in full.
pub(in crate::pg) struct ShownError(Box<dyn DatabaseError>);

impl ShownError {
    /// Wraps `error` if Postgres has answered with it.
    pub(in crate::pg) fn of(error: SqlxError) -> SqlxError {
        match error {
            SqlxError::Database(source) => SqlxError::Database(Box::new(Self(source))),
            other => other,
        }
    }

    /// Whether the message may quote what was sent: data exceptions quote the value (`invalid input syntax for
    /// type uuid: "…"`), syntax errors the statement.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn may_quote(&self) -> bool {
        self.0.code().is_none_or(|code| code.starts_with("22") || code == "42601")
    }
}

impl fmt::Display for ShownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.may_quote() {
            return f.write_str(self.0.message());
        }
        let code = self.0.code().unwrap_or(Cow::Borrowed("without a code"));
        write!(f, "SQLSTATE {code}; the message is withheld, as it may quote a value")
    }
}

impl fmt::Debug for ShownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownError")
            .field("code", &self.0.code())
            .field("message", &format_args!("{self}"))
            .field("table", &self.0.table())
            .field("constraint", &self.0.constraint())
            .finish_non_exhaustive()
    }
}

impl StdError for ShownError {}

impl DatabaseError for ShownError {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.0.as_error()
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self.0.as_error_mut()
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self.0.into_error()
    }

    fn is_transient_in_connect_phase(&self) -> bool {
        self.0.is_transient_in_connect_phase()
    }

    fn constraint(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn table(&self) -> Option<&str> {
        self.0.table()
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}
