//! The connections that transactions are lent, and what each of them knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch;

use super::connecting::{Connector, Greeting};
use super::probe::Probe;

/// How old a connection gets. What Postgres keeps for a session, plans and catalogue entries, is only
/// given back with it.
const MAX_AGE: Duration = Duration::from_mins(30);
/// How long a connection that is not wanted any more may take to say good-bye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection on loan. Dropped, it is the next borrower's at once: nothing is asked of Postgres in
/// between. So its owner answers for its state when it drops it, which [`OpenTx`](super::open_tx::OpenTx) does.
pub(super) type Lease = managed::Object<Connections>;
pub(super) type Pool = managed::Pool<Connections>;

/// Lends connections, and takes back only those that are good.
#[derive(Debug)]
pub(super) struct Connections(Arc<Connector>);

/// A connection, and the names of the statements that were prepared on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) raw: PgConnection,
    pub(super) prepared: Prepared,
    /// Whether it was lent before, or lay idle: the server may have closed it since.
    is_reused: bool,
    pub(super) epoch: Epoch,
    _open: watch::Receiver<()>,
}

impl Connection {
    pub(super) fn new(raw: PgConnection, epoch: Epoch, open: watch::Receiver<()>) -> Self {
        Self { raw, prepared: Prepared::default(), is_reused: false, epoch, _open: open }
    }

    pub(super) const fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// The same, after it lay idle.
    pub(super) const fn reused(mut self) -> Self {
        self.is_reused = true;
        self
    }
}

/// The time in which a connection was made. It ends when one of its connections finds the server gone;
/// the pool lends no connection of an earlier epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Epoch {
    number: u64,
    current: Arc<AtomicU64>,
}

impl Epoch {
    /// The epoch of a connection that is made now.
    pub(super) fn now(&self) -> Self {
        Self { number: self.current.load(Ordering::Acquire), current: Arc::clone(&self.current) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.current.load(Ordering::Acquire) != self.number
    }

    /// What has befallen one connection has befallen those of its age. Of many that find the same server
    /// gone, the first one ends the epoch.
    pub(super) fn end(&self) {
        let next = self.number + 1;
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self.current.compare_exchange(self.number, next, order.0, order.1);
    }
}

/// Statements that a connection knows by number.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    numbers: HashMap<String, u32>,
}

impl Prepared {
    pub(super) fn number(&self, sql: &str) -> Option<u32> {
        self.numbers.get(sql).copied()
    }

    /// The number that the next one gets.
    pub(super) fn next(&self) -> u32 {
        u32::try_from(self.numbers.len()).expect("far fewer statements than that")
    }

    pub(super) fn learn(&mut self, sql: String) {
        let number = self.next();
        self.numbers.insert(sql, number);
    }
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, greeting: Greeting) -> Self {
        Self(Arc::new(Connector::new(options, greeting)))
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        self.0.options()
    }

    /// Asks the server that these connections are of for a sign of life.
    pub(super) fn probe(&self) -> Probe {
        Probe::new(Arc::clone(&self.0))
    }

    /// Makes no more connections than are asked for, says good-bye to those at rest, and waits for those
    /// in use to be closed, for as long as a good-bye may take.
    pub(super) async fn close(&self, idle: Vec<Connection>) {
        close(idle).await;
        close(self.0.close()).await;
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.0.all_closed()).await;
    }
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        Arc::clone(&self.0).connection().await
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        connection.is_reused = true;
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("old enough"));
        }
        if connection.epoch.is_over() {
            return Err(RecycleError::message("its server was found gone"));
        }
        Ok(())
    }
}

/// Says good-bye to connections that are not wanted any more, for as long as that may take.
pub(super) async fn close(connections: Vec<Connection>) {
    let farewells = connections.into_iter().map(|connection| async {
        let Connection { raw, _open, .. } = connection;
        // Where it cannot be said, the socket is closed all the same.
        let _ = tokio::time::timeout(CLOSE_WITHIN, raw.close()).await;
    });
    futures_util::future::join_all(farewells).await;
}

/// What the pool reports, in the driver's words.
pub(super) fn error(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
        PoolError::Closed => sqlx::Error::PoolClosed,
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            unreachable!("the pool has neither timeouts nor hooks of its own")
        }
    }
}
