//! Checks whether a server with these settings could serve and would isolate tenants.
//!
//! It changes nothing: without `DATABASE_URL` it checks a temporary embedded database, not the one of `make run`.

mod postgres_log;
mod sarif;
mod stripe;

use std::error::Error;
use std::time::Duration;

use mt_core::pg::audit::Report;
use mt_core::pg::{ConnectError, Database};
use mt_service::with_causes;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

pub use self::sarif::sarif;
use crate::config::Config;
use crate::limits::Limiter;
use crate::schema;
use crate::server::Embedded;
use crate::server::database::{audit_embedded, behind, logins, open_embedded, options};

/// The timeout of a check of one dependency.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The result of one check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As required.
    Ok,
    /// Acceptable outside of production.
    Warning,
    /// Not acceptable.
    Failed,
}

/// A check and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `settings`, `postgres`, `schema`, `isolation`, `redis` or `stripe`.
    pub name: &'static str,
    /// The result.
    pub health: Health,
    /// One line for each detail; at least one.
    pub details: Vec<String>,
    /// The findings and notes of `isolation`; in JSON the members `findings` and `notes`.
    #[serde(flatten)]
    pub report: Option<Report>,
}

impl Check {
    fn new(name: &'static str, health: Health, detail: impl Into<String>) -> Self {
        Self { name, health, details: vec![detail.into()], report: None }
    }

    fn failed(name: &'static str, error: &(dyn Error + 'static)) -> Self {
        Self::new(name, Health::Failed, with_causes(error))
    }
}

/// Runs all checks, as far as the results of earlier ones allow.
pub async fn examine(config: &Config) -> Vec<Check> {
    let mut checks = vec![settings(config)];
    match &config.database.url {
        Some(url) => match url.reveal().parse() {
            Ok(login) => checks.extend(database(config, login).await),
            Err(error) => checks.push(Check::failed("postgres", &error)),
        },
        None => checks.extend(embedded().await),
    }
    checks.push(redis(config).await);
    checks.extend(stripe::stripe(config).await);
    checks
}

/// Invalid settings have stopped the process before. This reports what only production refuses, and what it accepts
/// with a warning.
fn settings(config: &Config) -> Check {
    let environment = format!("APP_ENV is {}", config.app_env.as_str());
    let mut check = Check::new("settings", Health::Ok, environment);
    if config.listens_to_others() {
        let host = config.listen.ip();
        let behaviours = config.dev_behaviours();
        check
            .details
            .extend(behaviours.into_iter().map(|behaviour| format!("on {host}, {behaviour}")));
    } else if config.stripe.webhook_secrets.is_empty() {
        let unset = "STRIPE_WEBHOOK_SECRET is not set: signatures of webhooks are not checked";
        check.details.push(unset.to_owned());
    }
    check.details.extend(config.transport_risks());
    if check.details.len() > 1 {
        check.health = Health::Warning;
    }
    if config.listens_to_others() && !config.app_env_is_set {
        let unset =
            "APP_ENV is not set, and other machines may reach APP_HOST: `serve` refuses to start";
        check.details.push(unset.to_owned());
        check.health = Health::Failed;
    }
    check
}

async fn database(config: &Config, login: PgConnectOptions) -> Vec<Check> {
    let migration = schema::migration();
    let pending = match in_time(migration.pending(&login)).await {
        Ok(pending) => pending,
        Err(detail) => return vec![Check::new("postgres", Health::Failed, detail)],
    };
    let mut checks = Vec::new();
    if pending.is_empty() {
        checks.push(Check::new("schema", Health::Ok, "up to date"));
    } else {
        checks.push(Check::new("schema", Health::Failed, behind(&pending)));
    }
    let logged = in_time(postgres_log::logged_values(&login)).await.unwrap_or_default();
    let strict = logins(config, login.clone()).max_connections(1);
    let (database, refused) = match Database::connect(strict).await {
        Ok(database) => (Ok(database), None),
        Err(error @ (ConnectError::PrivilegedLogin { .. } | ConnectError::Inherits { .. })) => {
            (Database::connect(options(config, login).max_connections(1)).await, Some(error))
        }
        Err(error) => (Err(error), None),
    };
    let database = match database {
        Ok(database) => database,
        Err(error) => {
            checks.insert(0, Check::failed("postgres", &error));
            return checks;
        }
    };
    let is_fine = refused.is_none() && logged.is_empty();
    let health = if is_fine { Health::Ok } else { Health::Warning };
    let mut postgres = postgres(&database, health).await;
    postgres.details.extend(logged);
    postgres.details.extend(refused.map(|error| with_causes(&error)));
    checks.insert(0, postgres);
    checks.push(match schema::audit().run(&database).await {
        Ok(report) => isolation(report),
        Err(error) => Check::failed("isolation", &error),
    });
    database.close().await;
    checks
}

async fn embedded() -> Vec<Check> {
    let (database, engine) = match open_embedded(Embedded::Temporary).await {
        Ok(opened) => opened,
        Err(error) => return vec![Check::failed("postgres", &*error)],
    };
    let mut postgres = postgres(&database, Health::Ok).await;
    postgres.details.push("embedded, as DATABASE_URL is not set; not for production".to_owned());
    let isolation = match audit_embedded(&database).await {
        Ok(report) => isolation(report),
        Err(error) => Check::failed("isolation", &error),
    };
    database.close().await;
    let mut checks = vec![postgres, isolation];
    if let Err(error) = engine.stop().await {
        checks.push(Check::failed("postgres", &error));
    }
    checks
}

async fn postgres(database: &Database, health: Health) -> Check {
    match database.server_version().await {
        Ok(version) => Check::new("postgres", health, format!("PostgreSQL {version}")),
        Err(error) => Check::failed("postgres", &error),
    }
}

/// A finding is a failure in every environment: tenants must be isolated in all of them.
fn isolation(report: Report) -> Check {
    let notes = report.notes.iter().map(|note| format!("note: {note}"));
    let mut check = Check::new("isolation", Health::Ok, "nothing in the catalogue breaks it");
    if !report.is_clean() {
        check.health = Health::Failed;
        check.details = report.findings.iter().map(ToString::to_string).collect();
    }
    check.details.extend(notes);
    check.report = Some(report);
    check
}

async fn redis(config: &Config) -> Check {
    let Some(url) = &config.redis.url else {
        let here = "REDIS_URL is not set: each process counts requests for itself";
        return Check::new("redis", Health::Ok, here);
    };
    let limiter = match Limiter::redis(url.reveal()) {
        Ok(limiter) => limiter,
        Err(error) => return Check::failed("redis", &error),
    };
    if tokio::time::timeout(TIMEOUT, limiter.is_reachable()).await.unwrap_or(false) {
        return Check::new("redis", Health::Ok, "reachable");
    }
    let health = if config.redis.required_for_ready { Health::Failed } else { Health::Warning };
    Check::new("redis", health, "not reachable: each process counts requests for itself")
}

async fn in_time<T, E: Error + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| with_causes(&error)),
        Err(_) => Err(format!("no response within {} seconds", TIMEOUT.as_secs())),
    }
}
