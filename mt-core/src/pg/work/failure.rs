//! Why an attempt did not succeed, as operators read it.

use std::fmt;
use std::time::Duration;

/// Why an attempt at an event or a job did not succeed.
///
/// ```
/// use std::time::Duration;
///
/// use mt_core::pg::ledger::{Failure, Outcome};
///
/// let busy = Failure::new("rate_limited", "the provider asks for fewer requests")
///     .retry_after(Duration::from_secs(30));
/// let outcome = Outcome::Deferred(busy);
/// # drop(outcome);
/// ```
#[derive(Clone, Debug)]
pub struct Failure {
    pub(in crate::pg) reason: &'static str,
    pub(in crate::pg) detail: String,
    pub(in crate::pg) retry_after: Duration,
}

impl Failure {
    /// A failure with its reason, in a word, and a line of detail that holds nothing of the body or the payload.
    #[must_use]
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), retry_after: Duration::ZERO }
    }

    /// Delays the next attempt for at least `wait`, as the other side asked.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }
}

/// `reason: detail`, as operators read it. The detail holds nothing of the body or the payload.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// `reason: detail`, cut to the length of the column.
pub(in crate::pg) fn line(reason: &str, detail: &str) -> String {
    const MAX_BYTES: usize = 1024;
    let mut line = format!("{reason}: {detail}");
    line.truncate(line.floor_char_boundary(MAX_BYTES));
    // A text in Postgres cannot hold this character.
    line.retain(|char| char != '\0');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_why() {
        let error = crate::pg::jobs::JobError::Dead(Failure::new("gone", "the account was closed"));
        assert_eq!(error.to_string(), "the job is dead: gone: the account was closed");
    }

    #[test]
    fn a_line_fits_its_column() {
        assert_eq!(line("database", "no\0thing"), "database: nothing");
        let long = line("é", &"é".repeat(1000));
        assert!(long.len() <= 1024 && long.len() > 1020, "{}", long.len());
    }
}
