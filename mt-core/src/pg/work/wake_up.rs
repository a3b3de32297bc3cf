//! Waking workers of this process.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes workers of this process, because work of theirs was committed: dispatchers of the outbox, or job workers. Those
/// of other processes poll.
#[derive(Clone, Debug, Default)]
pub struct WakeUp(Arc<Notify>);

impl WakeUp {
    /// Wakes one worker. Call it after the commit.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Waits for the next wake-up; one that came while no worker waited counts.
    pub(in crate::pg) async fn notified(&self) {
        self.0.notified().await;
    }
}
