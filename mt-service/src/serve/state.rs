//! What a connection is doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::timeouts::Timeouts;

/// A connection, as its stream, its exchanges and the table of connections share it.
pub(super) struct Connection {
    opened: Instant,
    phase: Mutex<Phase>,
    /// The client may still be sending a body that the server does not read.
    lingers: AtomicBool,
    closing: AtomicBool,
    close: Notify,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// For a request's first byte.
    Idle { since: Instant },
    /// For the rest of a request's head, of which something has come or, on a new connection, has not.
    Head { since: Instant, has_begun: bool },
    /// A request is being read, worked on or answered.
    Exchange { since: Instant },
}

impl Connection {
    /// A new connection. It is waited for like the rest of a head: a client that connects has a request.
    pub(super) fn open() -> Self {
        let now = Instant::now();
        Self {
            opened: now,
            phase: Mutex::new(Phase::Head { since: now, has_begun: false }),
            lingers: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            close: Notify::new(),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Nothing is done under it that may panic.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut phase = self.phase();
        match &mut *phase {
            Phase::Idle { .. } => *phase = Phase::Head { since: Instant::now(), has_begun: true },
            Phase::Head { has_begun, .. } => *has_begun = true,
            Phase::Exchange { .. } => {}
        }
    }

    /// A request's head has been read.
    pub(super) fn begin_exchange(&self) {
        *self.phase() = Phase::Exchange { since: Instant::now() };
    }

    /// The answer's last byte has been handed to the transport.
    pub(super) fn end_exchange(&self) {
        *self.phase() = Phase::Idle { since: Instant::now() };
    }

    /// When the connection is closed unless its phase ends before.
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Instant {
        match *self.phase() {
            Phase::Idle { since } => since + timeouts.idle,
            Phase::Head { since, .. } => since + timeouts.head,
            Phase::Exchange { since } => since + timeouts.exchange,
        }
    }

    /// Since when it has waited for its client; `None` while it answers a request.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Idle { since } | Phase::Head { since, .. } => Some(since),
            Phase::Exchange { .. } => None,
        }
    }

    /// Whether it is older than `age`.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.opened.elapsed() > age
    }

    /// Has the close wait for what the client still sends.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    /// Whether the close waits: for the rest of a body, or of a head that was refused.
    pub(super) fn lingers(&self) -> bool {
        let in_head = matches!(*self.phase(), Phase::Head { has_begun: true, .. });
        !self.is_closing() && (in_head || self.lingers.load(Ordering::Relaxed))
    }

    /// Closes the connection after the request under way, and without lingering.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.close.notify_one();
    }

    /// Whether [`close`](Self::close) was called.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Returns once [`close`](Self::close) was called.
    pub(super) async fn told_to_close(&self) {
        self.close.notified().await;
    }
}
