//! The loop of a worker.

use std::error::Error as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::wake_up::WakeUp;
use crate::pg::PgError;

/// Repeats `step` until `stopping`, and lets the step that is under way finish.
///
/// A step returns whether it found work. If it did, the next one follows at once, and another worker is woken, since there
/// may be more. If it found none, the loop waits for a wake-up, or for `poll` at most. After an error, which is logged as
/// `failed`, it waits for `poll`.
pub(in crate::pg) async fn repeat<F: Future<Output = Result<bool, PgError>>>(
    failed: &'static str,
    poll: Duration,
    wake_up: &WakeUp,
    stopping: &CancellationToken,
    mut step: impl FnMut() -> F,
) {
    while !stopping.is_cancelled() {
        match step().await {
            Ok(true) => wake_up.notify(),
            Ok(false) => {
                let woken = tokio::time::timeout(poll, wake_up.notified());
                let _ = stopping.run_until_cancelled(woken).await;
            }
            Err(error) => {
                tracing::warn!(cause = error.source(), "{failed}");
                let _ = stopping.run_until_cancelled(tokio::time::sleep(poll)).await;
            }
        }
    }
}
