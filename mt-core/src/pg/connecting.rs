//! Making connections, in tasks that outlive the requests which wait for them.
//!
//! A login hashes the password thousands of times and gives way to other tasks meanwhile. A request that
//! made its own connection would take the half-made one along when its client hangs up or its time is
//! over, and under a storm of such requests none would ever be finished.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use tokio::sync::{oneshot, watch};

use super::connections::{Connection, Epoch};

/// How long one login may take. A server that accepts connections and says nothing costs no more.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How often Postgres looks whether the client of a running statement is still there, so that a statement
/// of a closed connection neither runs on nor keeps its place in front of a lock.
/// <https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL>
const CHECK_CLIENT: &str = "set client_connection_check_interval = '500ms'";

/// What is said on each new connection before it is lent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Greeting {
    /// The role that the session becomes, for an engine that lets every client in as its superuser.
    pub(super) login: Option<&'static str>,
    /// Whether the session ends its statements when its client is gone. Not behind a pooler, whose
    /// sessions are not this client's to configure.
    pub(super) checks_client: bool,
}

/// Makes connections for those who wait for one.
///
/// INVARIANT: there are never more logins under way than requests that wait, plus those whose request
/// has given up; what the latter make is kept and given to the next request.
#[derive(Debug)]
pub(super) struct Connector {
    options: PgConnectOptions,
    greeting: Greeting,
    epoch: Epoch,
    /// Each connection holds a receiver, so that closing can wait for the last of them.
    open: watch::Sender<()>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<oneshot::Sender<Result<Connection, sqlx::Error>>>,
    /// Made for requests that have given up.
    spare: Vec<Connection>,
    connecting: usize,
    is_closed: bool,
}

impl Connector {
    pub(super) fn new(options: PgConnectOptions, greeting: Greeting) -> Self {
        Self {
            options,
            greeting,
            epoch: Epoch::default(),
            open: watch::Sender::default(),
            queue: Mutex::default(),
        }
    }

    pub(super) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection: a spare one, or the next that is made. Dropping the future loses nothing.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Connection, sqlx::Error> {
        let answer = {
            let mut queue = self.lock();
            while let Some(spare) = queue.spare.pop() {
                if !spare.epoch.is_over() {
                    return Ok(spare.reused());
                }
            }
            let (tell, answer) = oneshot::channel();
            queue.waiting.retain(|waiting| !waiting.is_closed());
            queue.waiting.push_back(tell);
            if queue.connecting < queue.waiting.len() {
                queue.connecting += 1;
                tokio::spawn(Arc::clone(self).connect_for_the_next());
            }
            answer
        };
        answer.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn connect_for_the_next(self: Arc<Self>) {
        let made = tokio::time::timeout(CONNECT_WITHIN, self.connect()).await;
        let mut made =
            made.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let mut queue = self.lock();
        queue.connecting -= 1;
        while let Some(waiting) = queue.waiting.pop_front() {
            match waiting.send(made) {
                Ok(()) => return,
                Err(returned) => made = returned,
            }
        }
        if let Ok(connection) = made
            && !queue.is_closed
        {
            queue.spare.push(connection);
        }
    }

    async fn connect(&self) -> Result<Connection, sqlx::Error> {
        let (open, epoch) = (self.open.subscribe(), self.epoch.now());
        let mut raw: PgConnection = self.options.connect().await?;
        if let Some(login) = self.greeting.login {
            let sql = format!("set session authorization {login}");
            raw.execute(AssertSqlSafe(sql)).await?;
        }
        if self.greeting.checks_client {
            match raw.execute(CHECK_CLIENT).await {
                // A platform where Postgres cannot look: an abandoned statement runs until its timeout.
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("22023") => {}
                said => {
                    said?;
                }
            }
        }
        Ok(Connection::new(raw, epoch, open))
    }

    /// Makes no more spare connections, and returns those that there are.
    pub(super) fn close(&self) -> Vec<Connection> {
        let mut queue = self.lock();
        queue.is_closed = true;
        mem::take(&mut queue.spare)
    }

    /// Returns once every connection is closed.
    pub(super) async fn all_closed(&self) {
        self.open.closed().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that may panic runs under it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
