//! The connections that transactions are lent, and what each of them knows.

use std::collections::HashMap;
use std::time::Duration;

use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::watch;

/// How old a connection gets. What Postgres keeps for a session, plans and catalogue entries, is only
/// given back with it.
const MAX_AGE: Duration = Duration::from_mins(30);
/// How long a connection that is not wanted any more may take to say good-bye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection on loan. Dropped, it is the next borrower's at once: nothing is asked of Postgres in
/// between. So whoever drops it answers for its state, which [`OpenTx`](super::open_tx::OpenTx) does.
pub(super) type Lease = managed::Object<Connections>;
pub(super) type Pool = managed::Pool<Connections>;

/// How connections are made.
#[derive(Debug)]
pub(super) struct Connections {
    options: PgConnectOptions,
    /// Whom each becomes at first, for an engine that lets everybody in as its superuser.
    login: Option<&'static str>,
    /// Each connection holds a receiver, so that closing can wait for the last of them.
    open: watch::Sender<()>,
}

/// A connection, and the names of the statements that were prepared on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) raw: PgConnection,
    pub(super) prepared: Prepared,
    _open: watch::Receiver<()>,
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
    pub(super) fn new(options: PgConnectOptions, login: Option<&'static str>) -> Self {
        Self { options, login, open: watch::Sender::default() }
    }

    pub(super) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Returns once every connection is closed.
    pub(super) async fn all_closed(&self) {
        self.open.closed().await;
    }
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        let open = self.open.subscribe();
        // On the heap, for it is large, rare, and would be part of every future that asks for a connection.
        let mut raw = Box::pin(self.options.connect()).await?;
        if let Some(login) = self.login {
            let sql = format!("set session authorization {login}");
            raw.execute(AssertSqlSafe(sql)).await?;
        }
        Ok(Connection { raw, prepared: Prepared::default(), _open: open })
    }

    async fn recycle(&self, _: &mut Connection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("old enough"));
        }
        Ok(())
    }
}

/// Says good-bye to connections that are nobody's any more, for as long as that may take.
pub(super) async fn close(connections: Vec<Connection>) {
    for connection in connections {
        let Connection { raw, _open, .. } = connection;
        // Where it cannot be said, the socket is closed all the same.
        let _ = tokio::time::timeout(CLOSE_WITHIN, raw.close()).await;
    }
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
