//! The settings that the server reads, prints and documents are the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reference_server::config::{Config, Environment};
use serde_json::Value;
use tokio::process::Command;

/// What operators were promised: all that they may set. A name that goes from here goes from their scripts
/// too, and a new one has to be told them.
const PROMISED: &[&str] = &[
    "ADMIN_TOKEN",
    "API_KEY_SECRET",
    "APP_ENV",
    "APP_HOST",
    "APP_PORT",
    "AUDIT_RETENTION_DAYS",
    "BASE_URL",
    "BILLING_GRACE_SECONDS",
    "CORS_ORIGINS",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_URL",
    "EXPORT_DISK_MB",
    "EXPORT_MAX_SECONDS",
    "HTTP_IDLE_SECONDS",
    "HTTP_MAX_CONNECTIONS",
    "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
    "INVITE_RETENTION_DAYS",
    "INVITE_TTL_SECONDS",
    "JWT_SECRET",
    "JWT_SECRET_PREVIOUS",
    "JWT_TTL_SECONDS",
    "LOG_FORMAT",
    "MAGIC_LINK_TTL_SECONDS",
    "MAIL_FROM",
    "METRICS_ADDR",
    "MIGRATE_DATABASE_URL",
    "ORG_MAX_IN_FLIGHT",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OUTBOX_RETENTION_DAYS",
    "RATE_LIMIT_API_PER_MIN",
    "RATE_LIMIT_AUTH_PER_MIN",
    "RATE_LIMIT_BILLING_PER_MIN",
    "RATE_LIMIT_EMAIL_PER_HOUR",
    "RATE_LIMIT_INVITES_PER_HOUR",
    "RATE_LIMIT_LINKS_PER_MIN",
    "RATE_LIMIT_WEBHOOKS_PER_MIN",
    "READY_REQUIRES_REDIS",
    "REDIS_URL",
    "RUST_LOG",
    "SHUTDOWN_GRACE_SECONDS",
    "SMTP_URL",
    "STRIPE_ACCOUNTS",
    "STRIPE_API_BASE",
    "STRIPE_LIVEMODE",
    "STRIPE_PRICE_PRO",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "SYSTEM_DATABASE_URL",
    "TRUSTED_PROXIES",
    "USER_MAX_ORGS",
    "WEBHOOK_BACKOFF_MS",
    "WEBHOOK_LEASE_SECONDS",
    "WEBHOOK_MAX_ATTEMPTS",
    "WEBHOOK_RETENTION_DAYS",
    "WEBHOOK_WORKERS",
];

/// Names that look like settings and are variables of the stack or of scripts.
const OF_OTHERS: &[&str] = &["MAIL_DIR", "MAIL_PORT", "MAIL_URL"];

/// Names and values of `.env.example`, as the server reads a `.env`.
fn example() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root.join(".env.example"), folder.path().join(".env")).unwrap();
    let environment = Environment::new([], folder.path()).unwrap();
    environment.file().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn names_shown(config: &Config) -> BTreeSet<String> {
    config.settings().into_iter().map(|setting| setting.name.to_owned()).collect()
}

#[test]
fn variables_that_are_read_are_printed_and_documented() {
    let asked = RefCell::new(BTreeSet::new());
    let config = Config::from_vars(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    let asked = asked.into_inner();
    assert_eq!(names_shown(&config.unwrap()), asked);
    assert_eq!(example().into_keys().collect::<BTreeSet<_>>(), asked);
    let promised = PROMISED.iter().map(ToString::to_string).collect();
    assert_eq!(asked, promised, "what is read, and what is promised");
}

/// The variables that a text names in code: `NAME`, `NAME=value` and lines of examples.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_of_a_name =
        |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    let code = text.split('`').skip(1).step_by(2);
    let words = code.flat_map(|code| code.split(|char: char| !is_of_a_name(char) && char != '…'));
    let is_name =
        |word: &&str| word.contains('_') && word.starts_with(|c: char| c.is_ascii_uppercase());
    words.filter(is_name).map(str::to_owned).collect()
}

fn word(name: &str) -> Option<&str> {
    name.split('_').next()
}

#[test]
fn documents_name_only_variables_that_are_read() {
    assert_eq!(
        names_in("`APP_PORT` is 8000, `BASE_URL=x` is not B_C; `make demo ROUNDS=1`")
            .into_iter()
            .collect::<Vec<_>>(),
        ["APP_PORT", "BASE_URL"]
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let known: BTreeSet<&str> = PROMISED.iter().chain(OF_OTHERS).copied().collect();
    let mut named = BTreeSet::new();
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "bench/results/ingest.md",
        "bench/results/performance.md",
        "bench/results/scaling.md",
        "bench/results/storm.md",
        "docs/embed.md",
        "docs/operate.md",
        "docs/test-isolation.md",
        "docs/tour.md",
        "ops/README.md",
    ] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        // The first word tells settings from what else is written in capitals.
        let is_setting = |name: &String| known.iter().any(|known| word(known) == word(name));
        for name in names_in(&text).into_iter().filter(is_setting) {
            assert!(
                known.contains(name.as_str()),
                "{document} names `{name}`, which nothing reads"
            );
            named.insert(name);
        }
    }
    assert!(named.contains("DATABASE_URL") && named.contains("OTEL_SERVICE_NAME"), "{named:?}");
}

#[test]
fn env_example_shows_the_defaults() {
    let example = example();
    let with = Config::from_vars(|name| example.get(name).cloned()).unwrap();
    assert_eq!(with.settings(), Config::from_vars(|_| None).unwrap().settings());
    // The control: a value that is not the default shows.
    let other = Config::from_vars(|name| (name == "APP_PORT").then(|| "1".to_owned())).unwrap();
    assert_ne!(other.settings(), with.settings());
}

#[tokio::test]
async fn settings_are_printed_without_their_secrets() {
    let printed = |arguments: &'static [&str], env: &'static str| async move {
        Command::new(env!("CARGO_BIN_EXE_mt-server"))
            .arg("serve")
            .args(arguments)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .envs([
                ("APP_ENV", env),
                ("DATABASE_URL", "postgres://mt_server:hunter2@db:5433/mt?password=hunter2"),
                ("REDIS_URL", "redis://:hunter2@cache"),
                ("SMTP_URL", "smtp://u:hunter2@mail"),
                ("MAIL_FROM", "Teams <teams@example.org>"),
                ("JWT_SECRET", "hunter2hunter2hunter2hunter2hunter2"),
                ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2,whsec_hunter2b"),
                ("STRIPE_SECRET_KEY", "sk_hunter2"),
                ("ADMIN_TOKEN", "hunter2"),
            ])
            .output()
            .await
            .unwrap()
    };
    let json = printed(&["--print-config", "--json"], "test").await;
    assert!(json.status.success(), "{json:?}");
    let settings: Value = serde_json::from_slice(&json.stdout).unwrap();
    for (name, value) in [
        ("APP_ENV", "test"),
        ("APP_PORT", "8000"),
        ("DATABASE_URL", "postgres://…@db:5433/mt"),
        ("MIGRATE_DATABASE_URL", "postgres://…@db:5433/mt"),
        ("REDIS_URL", "redis://…@cache"),
        ("SMTP_URL", "smtp://…@mail"),
        ("MAIL_FROM", "Teams <teams@example.org>"),
        ("JWT_SECRET", "(35 bytes)"),
        ("STRIPE_WEBHOOK_SECRET", "(13 bytes),(14 bytes)"),
        ("STRIPE_LIVEMODE", "any"),
        ("ADMIN_TOKEN", "(7 bytes)"),
    ] {
        assert_eq!(settings[name], value, "{name}");
    }
    assert_eq!(settings["METRICS_ADDR"], Value::Null);
    let table = printed(&["--print-config"], "test").await;
    assert!(String::from_utf8_lossy(&table.stdout).contains("APP_PORT "), "{table:?}");
    for shown in [json.stdout, json.stderr, table.stdout, table.stderr] {
        assert!(!String::from_utf8(shown).unwrap().contains("hunter2"));
    }
    // What would stop the server stops this, and JSON of what is not printed is wrong usage.
    let refused = printed(&["--print-config"], "prod").await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("hunter2"), "{refused:?}");
    assert_eq!(printed(&["--json"], "test").await.status.code(), Some(2));
}

#[tokio::test]
async fn shell_completions_need_no_valid_settings() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mt-server"))
            .args(["completions", shell])
            .env_clear()
            .env("APP_PORT", "not a port")
            .output()
            .await
            .unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("completions"), "{shell}: {script}");
        assert!(script.contains("print-config"), "{shell}");
    }
}
