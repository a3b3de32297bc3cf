//! `mt-server doctor`, and the same checks when a server starts.

mod formats;

use std::collections::HashMap;

use mt_core::testing::TestDatabase;
use reference_server::config::Config;
use reference_server::schema;
use reference_server::server::{Embedded, start};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Executor as _};

use crate::support::secret;
use crate::support::stripe_api::Stripe;

const PASSWORD: &str = "a-password-that-must-not-show";

/// Enough for production, but for a database.
fn production() -> Vec<(&'static str, String)> {
    vec![
        ("APP_ENV", "prod".to_owned()),
        ("JWT_SECRET", secret()),
        ("STRIPE_WEBHOOK_SECRET", format!("whsec_{}", secret())),
        ("SMTP_URL", "smtp://mail.invalid:25".to_owned()),
        ("MAIL_FROM", "mt@mail.invalid".to_owned()),
        ("BASE_URL", "https://app.invalid".to_owned()),
        ("REDIS_URL", std::env::var("MT_TEST_REDIS_URL").expect("`make test` names a Redis")),
    ]
}

async fn database() -> TestDatabase {
    TestDatabase::create_with(&[schema::product()]).await.unwrap()
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    fn health(&self, name: &str) -> String {
        self.check(name)["health"].as_str().unwrap().to_owned()
    }

    fn details(&self, name: &str) -> String {
        self.check(name)["details"].to_string()
    }

    fn check(&self, name: &str) -> Value {
        let json = self.json();
        let checks = json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or(&Value::Null).clone()
    }
}

fn doctor(arguments: &[&str], settings: &[(&str, String)]) -> Outcome {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_mt-server"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .env("HOME", std::env::temp_dir())
        .output()
        .unwrap();
    Outcome {
        code: out.status.code().unwrap(),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

fn examined(settings: &[(&str, String)]) -> Outcome {
    doctor(&["--json"], settings)
}

fn with(mut settings: Vec<(&'static str, String)>, url: String) -> Vec<(&'static str, String)> {
    settings.push(("DATABASE_URL", url));
    settings
}

/// With a login for tenants and one for what crosses them.
fn with_two_logins(
    mut settings: Vec<(&'static str, String)>,
    db: &TestDatabase,
) -> Vec<(&'static str, String)> {
    let (tenants, system) = db.two_logins();
    settings.push(("DATABASE_URL", tenants.to_url_lossy().to_string()));
    settings.push(("SYSTEM_DATABASE_URL", system.to_url_lossy().to_string()));
    settings
}

async fn starts(settings: &[(&str, String)]) -> Result<(), String> {
    let vars: HashMap<_, _> = settings.iter().cloned().collect();
    let config = Config::from_vars(|name| vars.get(name).cloned()).unwrap();
    match start(&config, Embedded::Temporary).await {
        Ok(started) => {
            started.readiness.stop();
            started.behind.stop(std::time::Duration::from_secs(10)).await.unwrap();
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn sound_database_passes_doctor() {
    let db = database().await;
    let settings = with_two_logins(production(), &db);
    let found = examined(&settings);
    assert_eq!((found.code, found.stderr.as_str()), (0, ""), "{}", found.stdout);
    assert_eq!(found.json()["ok"], true);
    for name in ["settings", "postgres", "schema", "isolation", "roles", "redis"] {
        assert_eq!(found.health(name), "ok", "{}", found.details(name));
    }
    assert!(found.details("postgres").contains("PostgreSQL 1"), "{}", found.stdout);
    let text = doctor(&[], &settings);
    // Without a key for Stripe, which production starts without, and says.
    assert_eq!(found.health("stripe"), "warning");
    assert!(found.details("stripe").contains("STRIPE_SECRET_KEY is not set"), "{}", found.stdout);
    assert_eq!(text.stdout.lines().count(), 7, "{}", text.stdout);
    let fine = text.stdout.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(fine.count(), 6, "{}", text.stdout);
    starts(&settings).await.unwrap();
}

/// One login for tenants and for the system is worth a note, and no failure.
#[tokio::test]
async fn single_login_is_a_note_of_doctor() {
    let db = database().await;
    let found = examined(&with(production(), db.login_url()));
    assert_eq!((found.code, found.health("isolation")), (0, "ok".to_owned()), "{}", found.stdout);
    assert!(found.details("isolation").contains("login-reaches-system"), "{}", found.stdout);
}

#[tokio::test]
async fn table_without_its_policy_fails_doctor_and_stops_production() {
    let db = database().await;
    db.admin().execute("drop policy mt_isolation on app.tasks").await.unwrap();
    let settings = with(production(), db.login_url());
    let found = examined(&settings);
    assert_eq!(found.code, 1);
    assert_eq!(found.json()["ok"], false);
    assert_eq!(found.health("isolation"), "failed");
    assert!(found.details("isolation").contains("app.tasks"), "{}", found.stdout);
    assert!(found.stderr.contains("failed: isolation"), "{}", found.stderr);
    let refused = starts(&settings).await.unwrap_err();
    assert!(refused.contains("app.tasks"), "{refused}");

    // `serve` warns outside of production; the doctor fails in every environment.
    for environment in ["dev", "test"] {
        let settings = [("APP_ENV", environment.to_owned()), ("DATABASE_URL", db.login_url())];
        let found = examined(&settings);
        assert_eq!((found.code, found.health("isolation")), (1, "failed".to_owned()));
        starts(&settings).await.unwrap();
    }
    db.admin().execute("alter table app.tasks disable row level security").await.unwrap();
    let settings = [("APP_ENV", "dev".to_owned()), ("DATABASE_URL", db.login_url())];
    let found = examined(&settings);
    assert_eq!((found.code, found.json()["ok"].clone()), (1, false.into()));
    db.admin()
        .execute("alter table app.tasks enable row level security; select mt.isolate('app.tasks')")
        .await
        .unwrap();
    assert_eq!(examined(&settings).code, 0, "the control");
}

#[tokio::test]
async fn outdated_schema_is_reported() {
    let db = TestDatabase::create().await.unwrap();
    let found = examined(&with(production(), db.login_url()));
    assert_eq!((found.code, found.health("schema")), (1, "failed".to_owned()));
    assert!(found.details("schema").contains("run `mt-server migrate`"), "{}", found.stdout);
}

#[test]
fn unavailable_services_are_reported_without_passwords() {
    // Nothing listens on port 1.
    let away = format!("postgres://ada:{PASSWORD}@127.0.0.1:1/mt");
    let mut settings = with(production(), away);
    settings.retain(|(name, _)| *name != "REDIS_URL");
    settings.push(("REDIS_URL", format!("redis://:{PASSWORD}@127.0.0.1:1")));
    settings.push(("READY_REQUIRES_REDIS", "true".to_owned()));
    for arguments in [&["--json"][..], &[]] {
        let found = doctor(arguments, &settings);
        assert_eq!(found.code, 1);
        assert!(found.stderr.contains("failed: postgres, redis"), "{}", found.stderr);
        let secrets = settings.iter().filter(|(name, _)| name.contains("SECRET"));
        for secret in secrets.map(|(_, value)| &**value).chain([PASSWORD]) {
            assert!(!format!("{}{}", found.stdout, found.stderr).contains(secret));
        }
    }
}

#[tokio::test]
async fn privileged_login_is_a_warning_outside_of_production_and_always_a_finding() {
    let db = database().await;
    let superuser = std::env::var("MT_TEST_DATABASE_URL").expect("`make test` names a Postgres");
    let name: String =
        sqlx::query_scalar("select current_database()").fetch_one(db.admin()).await.unwrap();
    let (server, _) = superuser.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    let found = examined(&[("APP_ENV", "dev".to_owned()), ("DATABASE_URL", url.clone())]);
    assert_eq!(found.health("postgres"), "warning", "{}", found.stdout);
    assert_eq!((found.code, found.health("isolation")), (1, "failed".to_owned()));
    assert!(found.details("isolation").contains("role-skips-policies: "), "{}", found.stdout);
    let found = examined(&with(production(), url));
    assert_eq!((found.code, found.json()["ok"].clone()), (1, false.into()));
}

#[tokio::test]
async fn postgres_that_logs_user_data_is_reported() {
    let db = database().await;
    let name: String =
        sqlx::query_scalar("select current_database()").fetch_one(db.admin()).await.unwrap();
    let settings = with(vec![("APP_ENV", "dev".to_owned())], db.login_url());
    assert_eq!(examined(&settings).health("postgres"), "ok", "the control");
    for (setting, value) in [
        ("log_statement", "mod"),
        ("log_min_duration_statement", "250"),
        ("log_parameter_max_length_on_error", "-1"),
    ] {
        let set = format!("alter database \"{name}\" set {setting} = '{value}'");
        db.admin().execute(sqlx::raw_sql(sqlx::AssertSqlSafe(set))).await.unwrap();
        let found = examined(&settings);
        assert_eq!((found.code, found.health("postgres")), (0, "warning".to_owned()), "{setting}");
        assert!(
            found.details("postgres").contains(&format!("{setting} is {value}")),
            "{}",
            found.stdout
        );
        let reset = format!("alter database \"{name}\" reset {setting}");
        db.admin().execute(sqlx::raw_sql(sqlx::AssertSqlSafe(reset))).await.unwrap();
    }
}

/// A row of the catalogue stands in for the extension, which is not in the packages of Debian.
#[tokio::test]
async fn database_with_citus_is_refused_in_every_environment() {
    let db = database().await;
    let development = with(vec![("APP_ENV", "dev".to_owned())], db.login_url());
    starts(&development).await.unwrap();
    let stand_in = "begin; set local allow_system_table_mods = on; \
        insert into pg_catalog.pg_extension \
            (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
        select 4000000000::oid, 'citus', extowner, extnamespace, false, '13.2-1' \
        from pg_catalog.pg_extension where extname = 'plpgsql'; \
        commit";
    db.admin().execute(stand_in).await.unwrap();
    for settings in [development, with(production(), db.login_url())] {
        let found = examined(&settings);
        assert_eq!((found.code, found.health("postgres")), (1, "failed".to_owned()));
        assert!(
            found.details("postgres").contains("`citus`, which is not supported"),
            "{}",
            found.stdout
        );
        let refused = starts(&settings).await.unwrap_err();
        assert!(refused.contains("`citus`, which is not supported"), "{refused}");
    }
}

/// The key and the prices are held against the API, here a stand-in. Each finding is the control of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_key_and_prices_are_checked() {
    let db = database().await;
    let stripe = Stripe::start().await;
    let price = |active: bool, recurring: Value| {
        json!({"id": "x", "object": "price", "active": active, "livemode": false,
            "recurring": recurring})
    };
    let monthly = json!({"interval": "month"});
    stripe.sells("price_month", price(true, monthly.clone()));
    stripe.sells("price_old", price(false, monthly));
    stripe.sells("price_once", price(true, Value::Null));
    let settings = |prices: &str, base: &str| {
        let mut settings = vec![("APP_ENV", "dev".to_owned()), ("DATABASE_URL", db.login_url())];
        settings.push(("STRIPE_SECRET_KEY", "sk_test_doctors".to_owned()));
        settings.push(("STRIPE_API_BASE", base.to_owned()));
        settings.push(("STRIPE_PRICE_PRO", prices.to_owned()));
        settings
    };
    for (prices, health, says) in [
        ("price_month", "ok", "the key is accepted"),
        // What was sold before may be archived, and what is sold may not.
        ("price_month,price_old", "ok", "`price_old`"),
        ("price_old,price_month", "failed", "is archived"),
        ("price_once", "failed", "is not recurring"),
        ("price_of_nothing", "failed", "does not exist"),
    ] {
        let found = examined(&settings(prices, &stripe.base));
        assert_eq!(found.health("stripe"), health, "{prices}: {}", found.stdout);
        assert!(found.details("stripe").contains(says), "{prices}: {}", found.stdout);
        assert_eq!(found.code, i32::from(health == "failed"), "{prices}");
    }
    let mut live = settings("price_month", &stripe.base);
    live.push(("STRIPE_LIVEMODE", "true".to_owned()));
    assert!(examined(&live).details("stripe").contains("STRIPE_LIVEMODE"));
    stripe.rejects_keys();
    let found = examined(&settings("price_month,price_old", &stripe.base));
    assert_eq!((found.code, found.health("stripe")), (1, "failed".to_owned()), "{}", found.stdout);
    for part in ["STRIPE_SECRET_KEY is not accepted", "401", "req_of_the_stand_in"] {
        assert!(found.details("stripe").contains(part), "{}", found.stdout);
    }
    assert!(!format!("{}{}", found.stdout, found.stderr).contains("sk_test_doctors"));
    // That Stripe is unreachable is not a fault of the settings.
    let found = examined(&settings("price_month", "http://127.0.0.1:1"));
    assert_eq!((found.code, found.health("stripe")), (0, "warning".to_owned()), "{}", found.stdout);
}

#[cfg(feature = "embedded")]
#[test]
fn doctor_without_settings_checks_the_embedded_database() {
    let found = examined(&[]);
    assert_eq!(found.code, 0, "{}{}", found.stdout, found.stderr);
    assert_eq!(found.health("isolation"), "ok");
    assert!(found.details("postgres").contains("embedded"), "{}", found.stdout);
    assert!(found.details("redis").contains("REDIS_URL"), "{}", found.stdout);
}

/// The warnings, and the settings that `serve` would refuse. The controls are corrected settings.
#[tokio::test]
async fn settings_that_expose_the_server_or_its_secrets_are_reported() {
    let db = database().await;
    let with = |more: &[(&'static str, &str)]| {
        let mut settings = vec![("DATABASE_URL", db.login_url())];
        settings.push(("STRIPE_WEBHOOK_SECRET", secret()));
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        examined(&settings)
    };
    let smtp = [("SMTP_URL", "smtp://u:p@mail.invalid"), ("MAIL_FROM", "mt@mail.invalid")];
    let migrator = [("MIGRATE_DATABASE_URL", "postgres://m:p@db.invalid/mt")];
    for (risky, name) in [
        (&smtp[..], "SMTP_URL"),
        (&migrator, "MIGRATE_DATABASE_URL"),
        (&[("TRUSTED_PROXIES", "0.0.0.0/0")], "TRUSTED_PROXIES"),
        (&[("APP_HOST", "0.0.0.0"), ("APP_ENV", "dev")], "JWT_SECRET"),
    ] {
        let found = with(risky);
        assert_eq!((found.code, found.health("settings")), (0, "warning".to_owned()), "{name}");
        assert!(found.details("settings").contains(name), "{name}: {}", found.stdout);
        assert!(!found.stdout.contains(":p@"), "{}", found.stdout);
    }
    let unsaid = with(&[("APP_HOST", "0.0.0.0")]);
    assert_eq!((unsaid.code, unsaid.health("settings")), (1, "failed".to_owned()));
    assert!(unsaid.details("settings").contains("APP_ENV is not set"), "{}", unsaid.stdout);
    let safe = with(&[("SMTP_URL", "smtps://u:p@mail.invalid"), ("MAIL_FROM", "mt@mail.invalid")]);
    assert_eq!((safe.code, safe.health("settings")), (0, "ok".to_owned()), "{}", safe.stdout);
}

#[test]
fn invalid_settings_exit_as_wrong_usage() {
    let found = examined(&[("APP_ENV", "staging".to_owned())]);
    assert_eq!((found.code, found.stdout.as_str()), (2, ""));
    assert!(found.stderr.contains("APP_ENV"), "{}", found.stderr);
}
