//! What a sweep does while the database is away.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::progress::LEASE;
use crate::pg::{BeginError, PgError};

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// An error of a step that changes nothing when it fails, or may be done twice.
pub(super) trait Step {
    /// Whether the database is away, and the step may succeed once it is back.
    fn is_away(&self) -> bool;
}

impl Step for PgError {
    fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Step for BeginError {
    fn is_away(&self) -> bool {
        matches!(self, Self::Pg(error) if error.is_away())
    }
}

/// Repeats a step while the database is away, so that a restart does not end a sweep over thousands of tenants. It gives up
/// after the time of a lease, in which no other process can take the sweep over.
pub(super) async fn while_away<T, E: Step>(step: impl AsyncFn() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + LEASE;
    loop {
        match step().await {
            Err(error) if error.is_away() && Instant::now() < end => sleep(PAUSE).await,
            done => return done,
        }
    }
}
