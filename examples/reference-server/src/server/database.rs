//! Opening the database, and refusing one that would not keep tenants apart.

use std::time::Duration;

use mt_core::pg::audit::{Report, Rule};
use mt_core::pg::{ConnectError, Database, DatabaseOptions, PgError, ServerLogin, Statements};
use sqlx::postgres::PgConnectOptions;

use super::{Embedded, StartError};
use crate::config::Config;
use crate::embedded::{DataDir, EmbeddedPostgres, LOGIN};
use crate::schema;

/// How long a database that is away at start is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// The database of `DATABASE_URL`, or the embedded one.
///
/// # Errors
///
/// [`StartError`].
pub async fn open(
    config: &Config,
    embedded: Embedded,
) -> Result<(Database, Option<EmbeddedPostgres>), StartError> {
    let Some(url) = &config.database.url else {
        let (database, engine) = open_embedded(embedded).await?;
        return Ok((database, Some(engine)));
    };
    let database = connect(config, url.reveal().parse()?).await?;
    let report = schema::audit().run(&database).await?;
    if config.app_env.is_prod() && !report.is_clean() {
        return Err(Leaks(report).into());
    }
    for finding in &report.findings {
        tracing::warn!("{finding}");
    }
    database.warm_up().await;
    Ok((database, None))
}

/// What production does not serve with.
#[derive(Debug, thiserror::Error)]
#[error("the database would not keep tenants apart:\n{0}")]
struct Leaks(Report);

/// Starts the embedded engine, with its schema up to date.
///
/// # Errors
///
/// [`StartError`]: the engine did not start, or its database would not keep tenants apart.
pub async fn open_embedded(kind: Embedded) -> Result<(Database, EmbeddedPostgres), StartError> {
    let data = match kind {
        Embedded::Persistent => DataDir::of_user(|name| std::env::var_os(name))?,
        Embedded::Temporary => DataDir::Temporary,
    };
    let engine = EmbeddedPostgres::start(data).await?;
    let admin = engine.admin_options();
    schema::migration().for_login(ServerLogin::Create(LOGIN)).run(&admin).await?;
    let options = DatabaseOptions::new(admin)
        .max_connections(EmbeddedPostgres::MAX_CONNECTIONS)
        // One connection serves everybody in turn: waiting longer than usual is normal.
        .acquire_timeout(Duration::from_secs(10))
        // It has one connection to give, and none to look at first.
        .statements(Statements::Named)
        .session_authorization(LOGIN);
    let database = Database::connect(options).await?;
    let report = audit_embedded(&database).await?;
    // Its schema is this version's own, so whatever is found here is a mistake of ours.
    if report.is_clean() { Ok((database, engine)) } else { Err(Leaks(report).into()) }
}

/// The audit, but for the age of the engine, which nobody can change: its only users are on this
/// machine.
///
/// # Errors
///
/// [`PgError`].
pub async fn audit_embedded(database: &Database) -> Result<Report, PgError> {
    let old = "the newest engine there is, and nothing for production";
    schema::audit().except(Rule::ServerOutdated, "PostgreSQL", old).run(database).await
}

/// How the server connects with this login: production refuses one that skips policies.
#[must_use]
pub fn options(config: &Config, login: PgConnectOptions) -> DatabaseOptions {
    let options =
        DatabaseOptions::new(login).max_connections(config.database.max_connections.get());
    if config.app_env.is_prod() { options } else { options.insecure_allow_privileged_login() }
}

async fn connect(config: &Config, login: PgConnectOptions) -> Result<Database, StartError> {
    let pending = retried(|| async { schema::migration().pending(&login).await }).await?;
    if !pending.is_empty() {
        return Err(behind(&pending).into());
    }
    let options = options(config, login);
    Ok(retried(|| async { Database::connect(options.clone()).await }).await?)
}

/// What to do about a schema that lacks these migrations.
#[must_use]
pub fn behind(pending: &[String]) -> String {
    format!(
        "the database's schema is behind by {} ({}); run `mt-server migrate`",
        pending.len(),
        pending.join(", ")
    )
}

/// Tries again while the database does not answer, for half a minute.
async fn retried<T, E, F>(mut work: impl FnMut() -> F) -> Result<T, E>
where
    E: std::error::Error + IsAway,
    F: Future<Output = Result<T, E>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match work().await {
            Err(error) if error.is_away() && tokio::time::Instant::now() < deadline => {
                tracing::warn!(cause = error.source(), "waiting for the database: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Tells a database that is away from one that says no.
trait IsAway {
    fn is_away(&self) -> bool;
}

impl IsAway for ConnectError {
    fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable(error) if is_away(error))
    }
}

impl IsAway for mt_core::pg::MigrateError {
    fn is_away(&self) -> bool {
        matches!(self, Self::Prepare(error) if is_away(error))
    }
}

fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // Starting up, shutting down, out of connections, or behind a pooler that cannot reach it.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| ["57P", "53", "08"].iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}
