//! One connection: its age, and the statements that are prepared on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;

/// How long a connection may take to close in order.
pub(in crate::pg) const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection, and the names of the statements that were prepared on it.
#[derive(Debug)]
pub(in crate::pg) struct Connection {
    pub(in crate::pg) raw: PgConnection,
    pub(in crate::pg) prepared: Prepared,
    /// Whether it was lent before, or lay idle: the server may have closed it since.
    is_reused: bool,
    /// The process that serves it; 0 behind a pooler, which gives each transaction to any.
    pub(in crate::pg) backend: i32,
    pub(in crate::pg) epoch: Epoch,
    _open: watch::Receiver<()>,
}

impl Connection {
    pub(in crate::pg) fn new(
        raw: PgConnection,
        backend: i32,
        epoch: Epoch,
        open: watch::Receiver<()>,
    ) -> Self {
        let prepared = Prepared::default();
        Self { raw, prepared, is_reused: false, backend, epoch, _open: open }
    }

    pub(in crate::pg) const fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// It was lent before, or lay idle.
    pub(in crate::pg) const fn reused(mut self) -> Self {
        self.mark_reused();
        self
    }

    pub(in crate::pg) const fn mark_reused(&mut self) {
        self.is_reused = true;
    }
}

/// The time in which a connection was made. It ends when one of its connections finds the server gone;
/// the pool lends no connection of an earlier epoch.
#[derive(Clone, Debug, Default)]
pub(in crate::pg) struct Epoch {
    number: u64,
    current: Arc<AtomicU64>,
}

impl Epoch {
    /// The epoch of a connection that is made now.
    pub(in crate::pg) fn now(&self) -> Self {
        Self { number: self.current.load(Ordering::Acquire), current: Arc::clone(&self.current) }
    }

    pub(in crate::pg) fn is_over(&self) -> bool {
        self.current.load(Ordering::Acquire) != self.number
    }

    /// What has befallen one connection has befallen those of its age. Of many that find the same server
    /// gone, the first one ends the epoch.
    pub(in crate::pg) fn end(&self) {
        let next = self.number + 1;
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self.current.compare_exchange(self.number, next, order.0, order.1);
    }
}

/// Statements that a connection knows by number.
#[derive(Debug, Default)]
pub(in crate::pg) struct Prepared {
    numbers: HashMap<String, u32>,
}

impl Prepared {
    pub(in crate::pg) fn number(&self, sql: &str) -> Option<u32> {
        self.numbers.get(sql).copied()
    }

    /// The number that the next one gets.
    pub(in crate::pg) fn next(&self) -> u32 {
        u32::try_from(self.numbers.len()).expect("far fewer statements than that")
    }

    pub(in crate::pg) fn learn(&mut self, sql: String) {
        let number = self.next();
        self.numbers.insert(sql, number);
    }
}

/// Closes connections in order, within a deadline.
pub(in crate::pg) async fn close(connections: Vec<Connection>) {
    let farewells = connections.into_iter().map(|connection| async {
        let Connection { raw, _open, .. } = connection;
        // After the deadline the socket is closed all the same.
        let _ = tokio::time::timeout(CLOSE_WITHIN, raw.close()).await;
    });
    futures_util::future::join_all(farewells).await;
}
