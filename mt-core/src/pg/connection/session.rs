//! Finds out whether a connection has a database session of its own or a pooler lends it one.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgExecutor, PgPool, Row as _};

/// A setting of no meaning, by which a session is known again.
const NAME: &str = "mt.session";
/// What a pooler answers that takes no settings with a connection: a protocol violation.
const REFUSED: &str = "08P01";

/// Something that is asked for when a connection is made and looked for once it is there.
///
/// A server sets it for the session. `PgBouncer` refuses or ignores it, since the server's connections
/// that it lends are made for any client. So nothing has to be left on a connection to find out, where
/// the next client would come upon it.
#[derive(Debug)]
pub(in crate::pg) struct SessionMark(String);

impl SessionMark {
    pub(in crate::pg) fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The connection to ask for, of which the driver logs no statements.
    pub(in crate::pg) fn on(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.options([(NAME, &self.0)]).disable_statement_logging()
    }

    /// Whether the one that was got has it.
    pub(in crate::pg) async fn is_on(
        &self,
        connection: impl PgExecutor<'_>,
    ) -> Result<bool, sqlx::Error> {
        // In one message: what takes two may be answered by two of a pooler's connections.
        let row = sqlx::raw_sql("select current_setting('mt.session', true)")
            .fetch_one(connection)
            .await?;
        Ok(row.try_get::<Option<String>, _>(0)?.as_ref() == Some(&self.0))
    }

    /// Whether none was got because of it.
    pub(in crate::pg) fn is_refused(error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| code == REFUSED)
    }
}

/// Whether connections made by `options` are sessions of their own. Makes one to find out.
pub(in crate::pg) async fn is_own(
    options: PgConnectOptions,
    within: Duration,
) -> Result<bool, sqlx::Error> {
    let mark = SessionMark::new();
    let connected = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(within)
        .connect_with(mark.on(options))
        .await;
    let pool: PgPool = match connected {
        Err(error) if SessionMark::is_refused(&error) => return Ok(false),
        connected => connected?,
    };
    // A stopped server accepts connections and does not answer.
    let is_own = tokio::time::timeout(within, mark.is_on(&pool)).await;
    let is_own = is_own.map_err(|_| sqlx::Error::PoolTimedOut)??;
    pool.close().await;
    Ok(is_own)
}
