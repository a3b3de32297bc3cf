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
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use tokio::sync::{oneshot, watch};

use super::live_connection::{Connection, Epoch};

/// How long one login may take, also to a server that accepts connections and does not answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How often Postgres looks whether the client of a running statement is still there, so that a statement
/// of a closed connection neither runs on nor keeps its place in front of a lock.
/// <https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL>
const CHECK_CLIENT: &str = "set client_connection_check_interval = '500ms'";

/// What is sent on each new connection before its first use.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pg) struct Greeting {
    /// The role that the session becomes, for an engine that lets every client in as its superuser.
    pub(in crate::pg) session_authorization: Option<&'static str>,
    /// Whether the session is this client's own, to be configured by it, and not a pooler's.
    pub(in crate::pg) is_own: bool,
}

/// Makes connections for those who wait for one.
///
/// INVARIANT: there are never more logins under way than requests that wait, plus those whose request
/// has given up; what the latter make is kept and given to the next request.
#[derive(Debug)]
pub(in crate::pg) struct Connector {
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
    pub(in crate::pg) fn new(options: PgConnectOptions, greeting: Greeting) -> Self {
        Self {
            // The driver would log the text of slow statements, and users' values are part of some.
            options: options.disable_statement_logging(),
            greeting,
            epoch: Epoch::default(),
            open: watch::Sender::default(),
            queue: Mutex::default(),
        }
    }

    /// A connection: a spare one, or the next that is made. Dropping the future loses nothing.
    pub(in crate::pg) async fn connection(self: &Arc<Self>) -> Result<Connection, sqlx::Error> {
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
        let Greeting { session_authorization, is_own } = self.greeting;
        if let Some(login) = session_authorization {
            let sql = format!("set session authorization {login}");
            raw.execute(AssertSqlSafe(sql)).await?;
        } else if is_own {
            // So that a statement ends when its client is gone.
            match raw.execute(CHECK_CLIENT).await {
                // A platform where Postgres cannot look: an abandoned statement runs until its timeout.
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("22023") => {}
                said => {
                    said?;
                }
            }
        }
        let backend = if is_own { backend(&mut raw).await? } else { 0 };
        Ok(Connection::new(raw, backend, epoch, open))
    }

    /// Makes no more spare connections, and returns those that there are.
    pub(in crate::pg) fn close(&self) -> Vec<Connection> {
        let mut queue = self.lock();
        queue.is_closed = true;
        mem::take(&mut queue.spare)
    }

    /// Returns once every connection is closed.
    pub(in crate::pg) async fn all_closed(&self) {
        self.open.closed().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that may panic runs under it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process of the server that serves the connection.
async fn backend(raw: &mut PgConnection) -> Result<i32, sqlx::Error> {
    raw.fetch_one(sqlx::raw_sql("select pg_backend_pid()")).await?.try_get(0)
}
