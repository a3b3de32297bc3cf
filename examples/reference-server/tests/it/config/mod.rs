//! The settings: for each variable, values that are accepted and values that are refused.

mod documentation;
#[cfg(unix)]
mod dotenv;
mod exposure;
mod known_secrets;
mod production;
mod transport;

use std::collections::HashMap;
use std::time::Duration;

use reference_server::config::{AppEnv, Config, ConfigErrors, LogFormat};

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    Config::from_vars(|name| vars.get(name).map(ToString::to_string))
}

/// The variables that were refused.
fn refused(vars: &[(&str, &str)]) -> Vec<&'static str> {
    match read(vars) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(reference_server::config::ConfigError::name).collect(),
    }
}

#[test]
fn default_settings_are_for_a_local_server() {
    let config = read(&[]).unwrap();
    assert_eq!(config.app_env, AppEnv::Dev);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.base_url.as_str(), "http://localhost:8000");
    assert!(config.database.url.is_none() && config.database.migrate_url.is_none());
    assert_eq!(config.database.max_connections.get(), 16);
    assert_eq!(config.database.org_max_in_flight.map(u32::from), Some(12));
    assert_eq!(config.exports.within, Duration::from_mins(10));
    assert_eq!(config.exports.disk_mib.get(), 4096);
    assert!(config.redis.url.is_none() && config.redis.required_for_ready);
    assert!(config.auth.jwt_secret.reveal().len() >= 32);
    assert!(config.auth.jwt_secret_previous.is_none());
    assert_eq!(config.auth.jwt_ttl, Duration::from_hours(1));
    assert_eq!(config.auth.magic_link_ttl, Duration::from_mins(10));
    assert_eq!(config.auth.invite_ttl, Duration::from_hours(168));
    assert_eq!(config.billing_grace, Duration::ZERO);
    let limits = &config.rate_limits;
    assert_eq!(limits.auth_per_minute.map(u32::from), Some(20));
    assert_eq!((limits.email_per_hour, limits.links_per_minute), (None, None));
    assert_eq!(limits.invites_per_hour, None);
    assert_eq!(limits.api_per_minute, None);
    assert_eq!(limits.webhooks_per_minute.map(u32::from), Some(600));
    assert!(limits.trusted_proxies.is_empty());
    assert!(config.stripe.webhook_secrets.is_empty() && config.stripe.secret_key.is_none());
    assert_eq!((config.stripe.livemode, &config.stripe.accounts), (None, &None));
    assert_eq!(config.stripe.pro_prices, ["price_pro"]);
    assert_eq!(config.webhooks.max_attempts.get(), 10);
    assert_eq!(config.webhooks.backoff, Duration::from_secs(1));
    assert_eq!(config.webhooks.lease, Duration::from_secs(30));
    assert_eq!(config.webhooks.workers.get(), 2);
    assert_eq!(config.webhooks.retention, Some(Duration::from_hours(90 * 24)));
    assert!(config.mail.is_none() && config.metrics_addr.is_none());
    assert_eq!(config.outbox_retention, Some(Duration::from_hours(90 * 24)));
    assert_eq!(config.admin_token.unwrap().reveal(), "dev-admin");
    assert!(config.cors_origins.is_empty());
    assert_eq!((config.log.filter.as_str(), config.log.format), ("info", None));
    assert_eq!(config.shutdown_grace, Duration::from_secs(10));
}

/// Each variable, values that it takes, and values that it does not.
const VALUES: &[(&str, &[&str], &[&str])] = &[
    ("APP_ENV", &["dev", "test"], &["production", "DEV", " dev", "staging"]),
    ("APP_HOST", &["0.0.0.0", "::", "::1", "localhost"], &["example.org", "0.0.0.0:80", "[::1]"]),
    ("APP_PORT", &["0", "65535"], &["65536", "-1", "+1", "80 ", "http"]),
    (
        "BASE_URL",
        &["https://example.org", "http://[::1]:8000/", "https://example.org/teams"],
        &[
            "example.org",
            "ftp://example.org",
            "https://u:p@example.org",
            "https://a/?q",
            "https://a/#f",
        ],
    ),
    (
        "DATABASE_URL",
        &["postgres://u:p@h/d", "postgresql://u@h:5433/d?sslmode=require"],
        &["mysql://u:p@h/d", "h/d", "postgres://u:p@h:port/d", "postgres://h/d?sslmode=perhaps"],
    ),
    ("MIGRATE_DATABASE_URL", &["postgres://u:p@h/d"], &["u:p@h/d"]),
    ("DATABASE_MAX_CONNECTIONS", &["1", "10000"], &["0", "10001", "many"]),
    ("ORG_MAX_IN_FLIGHT", &["0", "10000"], &["10001", "-1", "many"]),
    ("EXPORT_MAX_SECONDS", &["1", "86400"], &["0", "86401", "10m"]),
    ("EXPORT_DISK_MB", &["1", "1000000"], &["0", "1000001", "4G"]),
    (
        "REDIS_URL",
        &["redis://h", "rediss://:p@h:6380/1"],
        &["h:6379", "http://h", "redis://", "redis://h/first", "rediss://h#insecure"],
    ),
    ("READY_REQUIRES_REDIS", &["true", "false"], &["1", "yes", "True"]),
    ("JWT_SECRET", &["short", "é"], &[]),
    ("JWT_SECRET_PREVIOUS", &["short"], &[]),
    ("API_KEY_SECRET", &["short"], &[]),
    ("JWT_TTL_SECONDS", &["1", "31622400"], &["0", "31622401", "1h", "1.5"]),
    ("MAGIC_LINK_TTL_SECONDS", &["60"], &["0", "99999999999999999999"]),
    ("INVITE_TTL_SECONDS", &["60"], &["0", "a"]),
    ("BILLING_GRACE_SECONDS", &["0", "86400"], &["-1"]),
    ("RATE_LIMIT_AUTH_PER_MIN", &["0", "1000000"], &["1000001", "off"]),
    ("RATE_LIMIT_EMAIL_PER_HOUR", &["0", "5"], &["-5"]),
    ("RATE_LIMIT_LINKS_PER_MIN", &["0", "5"], &["many"]),
    ("RATE_LIMIT_INVITES_PER_HOUR", &["0", "5"], &["1h"]),
    ("RATE_LIMIT_API_PER_MIN", &["0", "5"], &["5.0"]),
    ("RATE_LIMIT_BILLING_PER_MIN", &["0", "5"], &["few"]),
    ("RATE_LIMIT_WEBHOOKS_PER_MIN", &["0", "5"], &["5/min"]),
    (
        "TRUSTED_PROXIES",
        &["10.0.0.0/8", "10.0.0.0/8, fd00::/8", "192.0.2.1/32"],
        &["10.0.0.0/33", "10.0.0.0/8,", "proxy", "10.0.0.0/8 fd00::/8"],
    ),
    (
        "STRIPE_WEBHOOK_SECRET",
        &["whsec_a", "whsec_a,whsec_b"],
        &[" ", "\t", "whsec_a, whsec_b", "whsec_a,", ",", "whsec a", "whsec_a\n"],
    ),
    ("STRIPE_LIVEMODE", &["true", "false", "any"], &["live", "1"]),
    ("STRIPE_ACCOUNTS", &["acct_1", "acct_1, acct_2"], &["acct 1", "acct_1,,acct_2"]),
    ("STRIPE_SECRET_KEY", &["sk_test_1"], &["sk test", " "]),
    (
        "STRIPE_API_BASE",
        &["http://127.0.0.1:8420", "https://stripe.example.org/api"],
        &["127.0.0.1:8420", "ftp://x", "http://"],
    ),
    ("STRIPE_PRICE_PRO", &["price_a", "price_a,price_b"], &["price a", ","]),
    ("WEBHOOK_MAX_ATTEMPTS", &["1", "1000"], &["0", "1001"]),
    ("WEBHOOK_BACKOFF_MS", &["1", "3600000"], &["0", "3600001"]),
    ("WEBHOOK_LEASE_SECONDS", &["1", "3600"], &["0", "3601"]),
    ("WEBHOOK_WORKERS", &["1", "64"], &["0", "65"]),
    ("WEBHOOK_RETENTION_DAYS", &["0", "36500"], &["-1", "36501"]),
    ("USER_MAX_ORGS", &["0", "1"], &["-1", "many"]),
    ("AUDIT_RETENTION_DAYS", &["0", "30", "36500"], &["-1", "1", "29", "36501"]),
    ("INVITE_RETENTION_DAYS", &["0", "36500"], &["-1", "36501"]),
    ("OUTBOX_RETENTION_DAYS", &["0", "36500"], &["-1", "36501"]),
    ("MAIL_FROM", &["a@b.example", "Teams <a@b.example>"], &["Teams", "a@"]),
    ("ADMIN_TOKEN", &["a"], &["a b", "é", "a\n"]),
    (
        "CORS_ORIGINS",
        &["https://a.example", "http://localhost:5173, https://a.example"],
        &[
            "*",
            "null",
            "a.example",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
        ],
    ),
    ("METRICS_ADDR", &["127.0.0.1:9000", "[::]:9000"], &["9000", "127.0.0.1", "localhost:9000"]),
    ("RUST_LOG", &["debug", "info,sqlx=warn"], &["loud=very", "a=b=c"]),
    ("LOG_FORMAT", &["json", "pretty"], &["xml", "JSON"]),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &["http://localhost:4318", "https://otel.example/x"],
        &["localhost:4318", "grpc://x", "http://u:p@x", "http://x/?key=k"],
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        &["http://localhost:4318/v1/traces", "https://otel.example/?key=k"],
        &["localhost:4318", "grpc://x", "http://u:p@x", "http://x/#f"],
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", &["a=b", "a=b%20c, d=", ","], &["a", "=b", "a b=c", "a=%00"]),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", &["authorization=Bearer%20x"], &["é=b"]),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", &["1", "3600000"], &["0", "10s"]),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", &["1"], &["0"]),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"], &["grpc", "http/json"]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["http/protobuf"], &["grpc"]),
    ("OTEL_SERVICE_NAME", &["mt", "a b"], &[]),
    ("OTEL_RESOURCE_ATTRIBUTES", &["a=b,c=d"], &["a", "a=%ff"]),
    ("OTEL_TRACES_SAMPLER", &["always_on", "parentbased_traceidratio"], &["xray", "ALWAYS_ON"]),
    ("OTEL_TRACES_SAMPLER_ARG", &["0", "0.25", "1"], &["1.1", "-1", "NaN", "half"]),
    ("OTEL_BSP_SCHEDULE_DELAY", &["1"], &["0"]),
    ("OTEL_BSP_MAX_QUEUE_SIZE", &["1"], &["0"]),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &["1"], &["0"]),
    ("OTEL_SDK_DISABLED", &["true", "False"], &["1", "yes"]),
    ("SHUTDOWN_GRACE_SECONDS", &["0", "3600"], &["3601", "10s"]),
];

#[test]
fn each_variable_accepts_only_its_documented_values() {
    for (name, good, bad) in VALUES {
        for value in *good {
            assert_eq!(refused(&[(name, value)]), [""; 0], "{name}={value:?}");
        }
        for value in *bad {
            assert_eq!(refused(&[(name, value)]), [*name], "{name}={value:?}");
        }
        assert_eq!(refused(&[(name, "")]), [""; 0], "an empty {name} is an unset one");
    }
}

#[test]
fn values_are_parsed_into_their_types() {
    let config = read(&[
        ("APP_ENV", "test"),
        ("APP_HOST", "::1"),
        ("APP_PORT", "0"),
        ("DATABASE_URL", "postgres://u:p@h/d"),
        ("READY_REQUIRES_REDIS", "false"),
        ("RATE_LIMIT_AUTH_PER_MIN", "0"),
        ("RATE_LIMIT_API_PER_MIN", "7"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
        ("STRIPE_WEBHOOK_SECRET", "one,two"),
        ("STRIPE_LIVEMODE", "false"),
        ("STRIPE_PRICE_PRO", "price_a, price_b"),
        ("CORS_ORIGINS", "http://localhost:5173"),
        ("LOG_FORMAT", "json"),
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:0");
    // A configuration with one login uses it for both.
    assert_eq!(config.database.migrate_url.unwrap().reveal(), "postgres://u:p@h/d");
    assert!(!config.redis.required_for_ready);
    assert_eq!(config.rate_limits.auth_per_minute, None);
    assert_eq!(config.rate_limits.api_per_minute.map(u32::from), Some(7));
    let proxies = config.rate_limits.trusted_proxies;
    assert_eq!(proxies, ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    let secrets = config.stripe.webhook_secrets;
    assert!(secrets.iter().map(reference_server::config::Secret::reveal).eq(["one", "two"]));
    assert_eq!(config.stripe.livemode, Some(false));
    assert_eq!(config.stripe.pro_prices, ["price_a", "price_b"]);
    assert_eq!(config.cors_origins, ["http://localhost:5173"]);
    assert_eq!(config.log.format, Some(LogFormat::Json));
}

#[test]
fn trace_variables_override_general_otlp_variables() {
    let traces = |vars: &[(&str, &str)]| read(vars).unwrap().traces;
    assert_eq!(traces(&[]).endpoint(), None);
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base/x/");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own");
    for (vars, endpoint) in [
        (&[base][..], Some("http://base/x/v1/traces")),
        (&[own], Some("http://own/")),
        (&[base, own], Some("http://own/")),
        (&[base, own, ("OTEL_SDK_DISABLED", "true")], None),
    ] {
        assert_eq!(traces(vars).endpoint().as_deref(), endpoint, "{vars:?}");
    }
    let all =
        traces(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "7"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%2Cc")]);
    assert_eq!(all.timeout, Duration::from_millis(7));
    assert_eq!(all.header_list(), [("a".to_owned(), "b,c".to_owned())]);
    let of_its_own = traces(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "8"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "c=d"),
    ]);
    assert_eq!(of_its_own.timeout, Duration::from_millis(8));
    assert_eq!(of_its_own.header_list(), [("c".to_owned(), "d".to_owned())]);
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a");
    assert_eq!(traces(&[]).service_name, "mt-server");
    assert_eq!(traces(&[attributes]).service_name, "a");
    assert_eq!(traces(&[attributes, ("OTEL_SERVICE_NAME", "b")]).service_name, "b");
    for (name, argument, parent_based, ratio) in [
        ("", "", true, 1.0),
        ("always_off", "0.5", false, 0.0),
        ("traceidratio", "0.5", false, 0.5),
        ("traceidratio", "", false, 1.0),
        ("parentbased_traceidratio", "0.25", true, 0.25),
    ] {
        let sampler =
            traces(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)]).sampler;
        assert_eq!(
            (sampler.parent_based, sampler.ratio),
            (parent_based, ratio),
            "{name} {argument}"
        );
    }
}

#[test]
fn mail_needs_a_sender() {
    assert_eq!(refused(&[("SMTP_URL", "smtp://h"), ("MAIL_FROM", "a@b.example")]), [""; 0]);
    assert_eq!(refused(&[("SMTP_URL", "smtp://h")]), ["MAIL_FROM"]);
    assert_eq!(refused(&[("SMTP_URL", "http://h"), ("MAIL_FROM", "a@b.example")]), ["SMTP_URL"]);
}

#[test]
fn all_configuration_problems_are_reported_at_once() {
    let errors = read(&[("APP_ENV", "prod"), ("APP_PORT", "http"), ("LOG_FORMAT", "xml")]);
    let text = errors.unwrap_err().to_string();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "`APP_PORT` is `http`; it takes a whole number from 0 to 65535",
            "`LOG_FORMAT` is `xml`; it takes `json` or `pretty`",
            "`DATABASE_URL` is not set; it takes the URL of a Postgres in prod",
            "`SMTP_URL` is not set; it takes the URL of a mail server in prod",
            "`STRIPE_WEBHOOK_SECRET` is not set; it takes the endpoint's secret in prod",
            "`JWT_SECRET` is not set; it takes at least 32 bytes in prod, with at least 8 different bytes, and no \
             value that the project's files show",
        ],
    );
}

#[test]
fn value_cannot_inject_log_lines() {
    let value = format!("a\n`FAKE` is fine\u{1b}[2J{}", "x".repeat(5000));
    let text = read(&[("LOG_FORMAT", &value)]).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 300, "{text}");
}

/// Variables whose values must not be seen, each with a value that holds `hunter2`.
const SECRETS: [(&str, &str, &str); 12] = [
    ("DATABASE_URL", "postgres://u:hunter2@h/d", "hunter2"),
    ("MIGRATE_DATABASE_URL", "postgres://u:hunter2@h/d", "hunter2"),
    ("REDIS_URL", "redis://:hunter2@h", "hunter2"),
    ("SMTP_URL", "smtp://u:hunter2@h", "hunter2"),
    ("JWT_SECRET", "hunter2", "hunter2"),
    ("JWT_SECRET_PREVIOUS", "hunter2", "hunter2"),
    ("API_KEY_SECRET", "hunter2", "hunter2"),
    ("STRIPE_WEBHOOK_SECRET", "hunter2", "hunter2 "),
    ("STRIPE_SECRET_KEY", "hunter2", "hunter2 "),
    ("ADMIN_TOKEN", "hunter2", "hunter2 "),
    ("OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2", "hunter2"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "key=hunter2", "hunter2"),
];

#[test]
fn settings_output_shows_no_secret() {
    for (name, good, bad) in SECRETS {
        let config = read(&[(name, good), ("MAIL_FROM", "a@b.example")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2"), "{name}: {shown}");
        assert!(shown.contains(&format!("Secret({} bytes)", good.len())), "{name}: {shown}");
        // In prod the two that take any text are refused for being short.
        let env = if good == bad { "prod" } else { "dev" };
        let errors = read(&[(name, bad), ("APP_ENV", env)]).unwrap_err();
        let shown = format!("{errors} {errors:?}");
        assert!(errors.iter().any(|error| error.name() == name), "{name}: {shown}");
        assert!(!shown.contains("hunter2"), "{name}: {shown}");
        assert!(shown.contains(&format!("a secret of {} bytes", bad.len())), "{name}: {shown}");
    }
}
