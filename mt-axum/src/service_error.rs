//! The error of a service that did not start.

use std::error::Error;
use std::fmt;

/// Why a service did not start or serve, with its causes. `main` returns it: `Debug` is for people, a line for each cause.
///
/// Errors of all kinds become one by `?`.
pub struct ServiceError(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for ServiceError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the database cannot be reached")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn people_read_the_causes() {
        let error = ServiceError::from(Outer(std::io::Error::other("connection refused")));
        assert_eq!(
            format!("{error:?}"),
            "the database cannot be reached\n  because: connection refused"
        );
        assert_eq!(format!("{:?}", ServiceError::from("no `X`")), "no `X`");
    }
}
