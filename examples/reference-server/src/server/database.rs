//! Opens the database, and refuses one that does not isolate tenants.

use std::time::Duration;

use embedded_postgres::{DataDir, EmbeddedPostgres, LOGIN};
use mt_core::pg::audit::{Report, Rule};
use mt_core::pg::{ConnectError, Database, DatabaseOptions, PgError, ServerLogin, Statements};
use mt_core::shares::Shares;
use mt_service::doctor::behind;
use sqlx::postgres::PgConnectOptions;

use super::{Embedded, StartError};
use crate::config::Config;
use crate::schema;

/// How long a start waits for a database that is down.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The command that migrates.
pub(crate) const MIGRATE: &str = "mt-server migrate";
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Opens the database of `DATABASE_URL`, or the embedded one.
///
/// # Errors
///
/// [`StartError`] when the database cannot be reached, its schema is out of date, or production refuses it.
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
    if config.app_env.is_prod() && config.database.system_url.is_none() {
        tracing::warn!(
            "`SYSTEM_DATABASE_URL` is not set: the login of `DATABASE_URL` may set the role that sees all orgs, so \
             an SQL injection could read them all"
        );
    }
    database.warm_up().await;
    Ok((database, None))
}

/// The error of production for a database that does not isolate tenants.
#[derive(Debug, thiserror::Error)]
#[error("the database does not isolate tenants:\n{0}")]
struct Leaks(Report);

/// Starts the embedded engine and migrates its schema.
///
/// # Errors
///
/// [`StartError`] when the engine does not start, or its database does not isolate tenants.
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
        // One connection serves all requests in turn, so longer waits are normal.
        .acquire_timeout(Duration::from_secs(10))
        // There is only one connection to warm up.
        .statements(Statements::Named)
        .session_authorization(LOGIN);
    let database = Database::connect(options).await?;
    let report = audit_embedded(&database).await?;
    // The schema is this version's own, so a finding here is a bug.
    if report.is_clean() { Ok((database, engine)) } else { Err(Leaks(report).into()) }
}

/// Audits the embedded database, except for the version of the engine, which users cannot change; only users of this
/// machine reach it.
///
/// # Errors
///
/// [`PgError`] when a query fails.
pub async fn audit_embedded(database: &Database) -> Result<Report, PgError> {
    let old = "the newest engine there is, and nothing for production";
    schema::audit().except(Rule::ServerOutdated, "PostgreSQL", old).run(database).await
}

/// Returns how the server connects with this login, and with the system login.
///
/// # Panics
///
/// When the settings hold an invalid URL, which reading the settings refuses.
#[must_use]
pub fn logins(config: &Config, login: PgConnectOptions) -> DatabaseOptions {
    let options = DatabaseOptions::new(login);
    match &config.database.system_url {
        Some(url) => options.system_login(url.reveal().parse().expect("a URL of a Postgres")),
        None => options,
    }
}

/// Returns how the server connects with this login: production refuses one that bypasses policies.
#[must_use]
pub fn options(config: &Config, login: PgConnectOptions) -> DatabaseOptions {
    let connections = config.database.max_connections.get();
    let shares = Shares::of(connections).per_tenant(config.database.org_max_in_flight);
    let options = logins(config, login).max_connections(connections).shares(shares);
    if config.app_env.is_prod() { options } else { options.insecure_allow_privileged_login() }
}

async fn connect(config: &Config, login: PgConnectOptions) -> Result<Database, StartError> {
    let pending = retried(|| async { schema::migration().pending(&login).await }).await?;
    if !pending.is_empty() {
        return Err(behind(&pending, MIGRATE).into());
    }
    let options = options(config, login);
    Ok(retried(|| async { Database::connect(options.clone()).await }).await?)
}

/// Retries for half a minute while the database does not respond.
async fn retried<T, E, F>(mut work: impl FnMut() -> F) -> Result<T, E>
where
    E: std::error::Error + IsAway,
    F: Future<Output = Result<T, E>>,
{
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        match work().await {
            Err(error) if error.is_away() && tokio::time::Instant::now() < deadline => {
                tracing::warn!(cause = error.source(), "waiting for the database: {error}");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            done => return done,
        }
    }
}

/// Distinguishes a database that is down from one that returns an error.
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
