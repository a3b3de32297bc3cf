//! How long transactions may take and what they see of each other.

use std::time::Duration;

use super::exchange::Mode;

/// The isolation level of transactions, as Postgres defines it
/// (<https://www.postgresql.org/docs/current/transaction-iso.html>).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// All statements see what was committed before the first one. A write that meets a later change fails with
    /// [`PgError::Unavailable`](crate::pg::PgError::Unavailable) and can be repeated.
    RepeatableRead,
    /// Transactions have the effect of running one after the other, or fail in the same way.
    Serializable,
}

impl Isolation {
    const fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

/// The settings of each transaction of a [`Database`](crate::pg::Database).
#[derive(Clone, Copy, Debug)]
pub(in crate::pg) struct TxSettings {
    pub(in crate::pg) statement_timeout: Duration,
    pub(in crate::pg) lock_timeout: Duration,
    pub(in crate::pg) idle_timeout: Duration,
    pub(in crate::pg) isolation: Isolation,
}

impl TxSettings {
    pub(in crate::pg) const DEFAULT: Self = Self {
        statement_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(10),
        isolation: Isolation::ReadCommitted,
    };

    /// How a transaction begins. One that may write does not say `read write`, since an operator may have set the database
    /// read-only.
    pub(in crate::pg) fn begin(mode: Mode, isolation: Isolation) -> String {
        let read_only = match mode {
            Mode::Read => " read only",
            Mode::Write => "",
        };
        format!("begin isolation level {}{read_only}", isolation.sql())
    }

    /// Sets the limits of the transaction. `alter role … set` would not do: it applies at login, and roles are entered by
    /// `set local role`.
    pub(in crate::pg) fn limits(&self) -> String {
        format!(
            "set local statement_timeout = {}; set local lock_timeout = {}; \
             set local idle_in_transaction_session_timeout = {}",
            millis(self.statement_timeout),
            millis(self.lock_timeout),
            millis(self.idle_timeout),
        )
    }

    /// How long Postgres may be silent. Longer than a statement may take with its locks, so that Postgres speaks first
    /// unless it cannot: a server that is stopped or out of reach keeps no `statement_timeout`.
    pub(in crate::pg) fn answered_within(&self) -> Duration {
        const TO_SPARE: Duration = Duration::from_secs(1);
        self.statement_timeout.saturating_add(self.lock_timeout).saturating_add(TO_SPARE)
    }
}

/// Whole milliseconds, as Postgres takes a timeout. Zero would be no timeout.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_turned_off() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::MAX), i32::MAX);
    }

    #[test]
    fn the_driver_waits_longer_than_postgres() {
        assert_eq!(TxSettings::DEFAULT.answered_within(), Duration::from_secs(8));
    }
}
