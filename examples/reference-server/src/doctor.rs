//! Checks whether a server with these settings could serve and would isolate tenants.
//!
//! It changes nothing: without `DATABASE_URL` it checks a temporary embedded database, not the one of `make run`.

use mt_core::pg::Database;
use mt_service::doctor::{Check, DatabaseChecks, Health, StripePrices, TIMEOUT};
use sqlx::postgres::PgConnectOptions;

use crate::billing::{self, NO_STRIPE_KEY};
use crate::config::Config;
use crate::limits::Limiter;
use crate::model::Product;
use crate::schema;
use crate::server::Embedded;
use crate::server::database::{MIGRATE, audit_embedded, logins, open_embedded, options};

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
    checks.extend(stripe(config).await);
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
    let checks = DatabaseChecks {
        options: logins(config, login.clone()),
        fallback: Some(options(config, login.clone())),
        migration: schema::migration(),
        audit: schema::audit(),
        migrate: MIGRATE,
    };
    let mut checks = checks.run(&login).await;
    let is_up_to_date = |check: &Check| check.name == "schema" && check.health == Health::Ok;
    if checks.iter().any(is_up_to_date)
        && let Ok(database) = Database::connect(options(config, login).max_connections(1)).await
    {
        checks.push(Check::roles::<Product>(&database).await);
        database.close().await;
    }
    checks
}

async fn embedded() -> Vec<Check> {
    let (database, engine) = match open_embedded(Embedded::Temporary).await {
        Ok(opened) => opened,
        Err(error) => return vec![Check::failed("postgres", &*error)],
    };
    let mut postgres = Check::postgres(&database, Health::Ok).await;
    postgres.details.push("embedded, as DATABASE_URL is not set; not for production".to_owned());
    let isolation = match audit_embedded(&database).await {
        Ok(report) => Check::isolation(report),
        Err(error) => Check::failed("isolation", &error),
    };
    database.close().await;
    let mut checks = vec![postgres, isolation];
    if let Err(error) = engine.stop().await {
        checks.push(Check::failed("postgres", &error));
    }
    checks
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

/// Asks Stripe, or the stand-in of `STRIPE_API_BASE`, for each price. `None` where Stripe is simulated.
async fn stripe(config: &Config) -> Option<Check> {
    let client = match billing::client(config) {
        Ok(Some(client)) => client,
        Ok(None) => {
            let is_prod = config.app_env.is_prod();
            return is_prod.then(|| Check::new("stripe", Health::Warning, NO_STRIPE_KEY));
        }
        Err(error) => return Some(Check::failed("stripe", &error)),
    };
    let prices = StripePrices {
        client: &client,
        prices: &config.stripe.pro_prices,
        livemode: config.stripe.livemode,
        setting: "STRIPE_PRICE_PRO",
        tenant: "org",
    };
    Some(prices.check().await)
}
