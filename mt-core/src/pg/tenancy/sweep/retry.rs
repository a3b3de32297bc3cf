//! What a sweep does while the database is away.

use std::fmt;
use std::time::Duration;

use sqlx::Error;
use tokio::time::{Instant, sleep};

use super::progress::LEASE;
use crate::pg::{BeginError, PgError};

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// The error of a step that changes nothing when it fails, or may be done twice.
pub(super) trait StepError: fmt::Display {
    /// Whether the step may succeed once the database is back.
    fn is_away(&self) -> bool;
}

/// Of the sweep's own progress, which no tenant delays.
impl StepError for PgError {
    fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Of one tenant. Where the tenant itself is busy, its lock is held or its share of the connections is in use, it has
/// failed: the others do not wait for it.
impl StepError for BeginError {
    fn is_away(&self) -> bool {
        let Self::Pg(PgError::Unavailable(error)) = self else { return false };
        match error {
            Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
            // Shut down, crashed, starting up.
            Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
            _ => false,
        }
    }
}

/// Repeats a step while the database is away, so that a restart does not end a sweep over thousands of tenants. It gives up
/// after the time of a lease.
pub(super) async fn while_away<T, E: StepError>(
    step: impl AsyncFn() -> Result<T, E>,
) -> Result<T, E> {
    let end = Instant::now() + LEASE;
    let mut is_told = false;
    loop {
        match step().await {
            Err(error) if error.is_away() && Instant::now() < end => {
                if !is_told {
                    tracing::warn!(%error, "a sweep waits for the database");
                    is_told = true;
                }
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}
