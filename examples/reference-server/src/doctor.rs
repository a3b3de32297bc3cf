//! Whether a server with these settings could serve, and would keep tenants apart.
//!
//! Nothing is changed: without `DATABASE_URL` it is a temporary embedded database that is examined,
//! and not the one of `make run`.

mod stripe;

use std::error::Error;
use std::time::Duration;

use mt_core::pg::audit::Report;
use mt_core::pg::{ConnectError, Database, DatabaseOptions};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use crate::causes::with_causes;
use crate::config::Config;
use crate::limits::Limiter;
use crate::schema;
use crate::server::Embedded;
use crate::server::database::{audit_embedded, behind, open_embedded, options};

/// How long one dependency has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one thing is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Good enough outside of production.
    Warning,
    /// Not to be served with.
    Failed,
}

/// What was looked at, and what was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `settings`, `postgres`, `schema`, `isolation`, `redis` or `stripe`.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// A line for each thing to say; at least one.
    pub details: Vec<String>,
}

impl Check {
    fn new(name: &'static str, health: Health, detail: impl Into<String>) -> Self {
        Self { name, health, details: vec![detail.into()] }
    }

    fn failed(name: &'static str, error: &(dyn Error + 'static)) -> Self {
        Self::new(name, Health::Failed, with_causes(error))
    }
}

/// Looks at everything, as far as what was seen before allows.
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

/// Wrong ones have stopped the process before; what is left is what only production refuses.
fn settings(config: &Config) -> Check {
    let environment = format!("APP_ENV is {}", config.app_env.as_str());
    if config.stripe.webhook_secrets.is_empty() {
        let mut check = Check::new("settings", Health::Warning, environment);
        let unset = "STRIPE_WEBHOOK_SECRET is not set: signatures of webhooks are not checked";
        check.details.push(unset.to_owned());
        return check;
    }
    Check::new("settings", Health::Ok, environment)
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
    let strict = DatabaseOptions::new(login.clone()).max_connections(1);
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
    let health = if refused.is_some() { Health::Warning } else { Health::Ok };
    let mut postgres = postgres(&database, health).await;
    postgres.details.extend(refused.map(|error| with_causes(&error)));
    checks.insert(0, postgres);
    let breach = if config.app_env.is_prod() { Health::Failed } else { Health::Warning };
    checks.push(match schema::audit().run(&database).await {
        Ok(report) => isolation(&report, breach),
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
        Ok(report) => isolation(&report, Health::Failed),
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

fn isolation(report: &Report, breach: Health) -> Check {
    if report.is_clean() {
        return Check::new("isolation", Health::Ok, "nothing in the catalogue breaks it");
    }
    let details = report.findings.iter().map(ToString::to_string).collect();
    Check { name: "isolation", health: breach, details }
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
    if tokio::time::timeout(PATIENCE, limiter.is_reachable()).await.unwrap_or(false) {
        return Check::new("redis", Health::Ok, "reachable");
    }
    let health = if config.redis.required_for_ready { Health::Failed } else { Health::Warning };
    Check::new("redis", health, "not reachable: each process counts requests for itself")
}

async fn in_time<T, E: Error + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| with_causes(&error)),
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}
