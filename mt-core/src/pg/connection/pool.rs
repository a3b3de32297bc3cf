//! The pool that transactions borrow connections from.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;

use super::connecting::{Connector, Greeting};
use super::live_connection::{self, CLOSE_WITHIN, Connection};
use super::probe::Probe;
use crate::shares::Seat;

/// How old a connection gets. What Postgres keeps for a session, plans and catalogue entries, is only
/// given back with it.
const MAX_AGE: Duration = Duration::from_mins(30);

/// A borrowed connection. Dropped, it goes to the next borrower at once, without a question to Postgres in between. So
/// its owner is responsible for its state when it drops it, which [`OpenTx`](crate::pg::transaction::open_tx::OpenTx) does.
pub(in crate::pg) type Lease = managed::Object<Connections>;

/// A borrowed connection and its seat. Both go back at the same moment, the connection first, so that the request that gets
/// the seat finds it.
pub(in crate::pg) struct Lent {
    lease: Lease,
    seat: Seat,
}

impl Lent {
    pub(in crate::pg) const fn new(lease: Lease, seat: Seat) -> Self {
        Self { lease, seat }
    }

    /// Takes the connection out of the pool for good, and gives the seat back.
    pub(in crate::pg) fn detach(self) -> Connection {
        Lease::take(self.lease)
    }

    /// Takes the seat, for another connection in place of this one.
    pub(in crate::pg) const fn take_seat(&mut self) -> Seat {
        self.seat.take()
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.lease
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.lease
    }
}

pub(in crate::pg) type Pool = managed::Pool<Connections>;

/// Lends connections, and takes back only those that are good.
#[derive(Debug)]
pub(in crate::pg) struct Connections(Arc<Connector>);

impl Connections {
    pub(in crate::pg) fn new(options: PgConnectOptions, greeting: Greeting) -> Self {
        Self(Arc::new(Connector::new(options, greeting)))
    }

    /// Asks the server that these connections are of for a sign of life.
    pub(in crate::pg) fn probe(&self) -> Probe {
        Probe::new(Arc::clone(&self.0))
    }

    /// Makes no more spare connections, closes the idle ones, and waits within a deadline for those in use to be closed.
    pub(in crate::pg) async fn close(&self, idle: Vec<Connection>) {
        live_connection::close(idle).await;
        live_connection::close(self.0.close()).await;
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
        connection.mark_reused();
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("old enough"));
        }
        if connection.epoch.is_over() {
            return Err(RecycleError::message("its server was found gone"));
        }
        Ok(())
    }
}

/// What the pool reports, in the driver's words.
pub(in crate::pg) fn error(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
        PoolError::Closed => sqlx::Error::PoolClosed,
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            unreachable!("the pool has neither timeouts nor hooks of its own")
        }
    }
}
