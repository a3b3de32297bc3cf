//! The two logins of a program, and the connections of each.
//!
//! Statements of tenants and principals run on connections of one login, which may become `mt_app` and not
//! `mt_system`. So no statement of theirs, however it came about, can take on the role that sees every tenant. What
//! crosses tenants runs on connections of the other. A program that is given one login uses it for both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::QueueMode;
use sqlx::postgres::PgConnectOptions;
use tokio::time::Instant;

use super::connecting::Greeting;
use super::pool::{self, Connections, Lease, Pool};
use super::pool_stats::{PoolStats, Waits};
use super::probe::Probe;
use super::session;
use super::statements::Statements;
use crate::pg::PgError;

/// Which login a transaction uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Login {
    /// That of tenants and principals.
    App,
    /// That of the system.
    System,
}

/// How the connections of a login are made.
#[derive(Clone, Copy)]
pub(in crate::pg) struct Making {
    pub(in crate::pg) max_connections: u32,
    pub(in crate::pg) acquire_timeout: Duration,
    /// Found out by a connection if `None`.
    pub(in crate::pg) statements: Option<Statements>,
    pub(in crate::pg) session_authorization: Option<&'static str>,
}

/// The connections of one login.
#[derive(Clone)]
pub(in crate::pg) struct LoginPool {
    /// What Postgres calls the login.
    name: Arc<str>,
    pool: Pool,
    statements: Statements,
    waits: Arc<Waits>,
}

impl LoginPool {
    /// Makes no connection yet, but one to find out whether a pooler stands between.
    pub(in crate::pg) async fn new(
        connect: PgConnectOptions,
        making: Making,
    ) -> Result<Self, sqlx::Error> {
        let Making { max_connections, acquire_timeout, statements, session_authorization } = making;
        let statements = match statements {
            Some(statements) => statements,
            None if session::is_own(connect.clone(), acquire_timeout).await? => Statements::Named,
            None => Statements::Unnamed,
        };
        let is_own = statements == Statements::Named;
        let name = session_authorization.unwrap_or_else(|| connect.get_username()).into();
        let connections = Connections::new(connect, Greeting { session_authorization, is_own });
        let pool = Pool::builder(connections)
            .max_size(usize::try_from(max_connections).unwrap_or(usize::MAX))
            // What was used last is warm; the others are there for a rush.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts needs no runtime");
        Ok(Self { name, pool, statements, waits: Arc::default() })
    }

    /// A connection, if there is one before `deadline`.
    pub(in crate::pg) async fn acquire(&self, deadline: Instant) -> Result<Lease, PgError> {
        let wait = self.waits.begin();
        let got = tokio::time::timeout_at(deadline, self.pool.get()).await;
        let got = got.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(pool::error);
        // Whatever keeps a connection from being made: without one there is no database.
        let connection = got.map_err(PgError::Unavailable)?;
        wait.got_one();
        Ok(connection)
    }

    /// Opens all connections that there may be, one after another, each within `acquire_timeout`.
    pub(in crate::pg) async fn warm_up(&self, acquire_timeout: Duration) -> Result<(), PgError> {
        let mut open = Vec::new();
        while self.pool.status().size < self.pool.status().max_size {
            open.push(self.acquire(Instant::now() + acquire_timeout).await?);
        }
        Ok(())
    }

    /// Asks the server that these connections are of for a sign of life.
    pub(in crate::pg) fn probe(&self) -> Probe {
        self.pool.manager().probe()
    }

    pub(in crate::pg) async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        self.pool.manager().close(idle).await;
    }

    pub(in crate::pg) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::pg) const fn statements(&self) -> Statements {
        self.statements
    }

    pub(in crate::pg) fn stats(&self) -> PoolStats {
        let status = self.pool.status();
        self.waits.stats(status.max_size, status.size, status.available)
    }
}

impl fmt::Debug for LoginPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPool").field("statements", &self.statements).finish_non_exhaustive()
    }
}
