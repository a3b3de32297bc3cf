//! Whether the database is there, asked on a connection beside the pool.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor as _;
use tokio::sync::Mutex;

use super::connecting::Connector;
use super::live_connection::{self, Connection};
use crate::pg::PgError;

/// How long the answer may take, login included.
const WITHIN: Duration = Duration::from_secs(2);

/// A connection that no transaction uses.
pub(in crate::pg) struct Probe {
    connector: Arc<Connector>,
    connection: Mutex<Option<Connection>>,
}

impl Probe {
    pub(in crate::pg) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, connection: Mutex::default() }
    }

    pub(in crate::pg) async fn ping(&self) -> Result<(), PgError> {
        let asked = tokio::time::timeout(WITHIN, self.ask()).await;
        let too_late = |_| sqlx::Error::from(io::Error::from(io::ErrorKind::TimedOut));
        asked.map_err(too_late).flatten().map_err(PgError::Unavailable)
    }

    async fn ask(&self) -> Result<(), sqlx::Error> {
        let mut kept = self.connection.lock().await;
        loop {
            // Out of its place while it is asked: if this is dropped meanwhile, it is not used again.
            let connection = match kept.take() {
                Some(connection) => connection,
                None => self.connector.connection().await?,
            };
            let was_idle = connection.is_reused();
            match answered(connection).await {
                Ok(connection) => {
                    *kept = Some(connection.reused());
                    return Ok(());
                }
                // It may have been closed while it lay idle; the server may be well.
                Err(_) if was_idle => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(in crate::pg) async fn close(&self) {
        let kept = self.connection.lock().await.take();
        live_connection::close(kept.into_iter().collect()).await;
    }
}

/// The connection, once Postgres has answered on it.
async fn answered(mut connection: Connection) -> Result<Connection, sqlx::Error> {
    connection.raw.execute(sqlx::raw_sql("select 1")).await?;
    Ok(connection)
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}
