//! How whoever works is told to come to an end.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

/// Whether to stop, for everybody to see.
#[derive(Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    rung: Notify,
}

impl Stop {
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits for `work`, or until asked to stop.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let rung = std::pin::pin!(self.rung.notified());
        if self.is_asked() {
            return None;
        }
        match select(rung, std::pin::pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }

    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.rung.notify_waiters();
    }
}
