//! Groups of settings, and how each is read.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use mt_core::redis::RedisStore;
use reqwest::Url;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::secret::Secret;
use super::values::{self, AppEnv, LogFormat};

/// The maximum of settings in seconds.
pub(super) const YEAR: u32 = 366 * 24 * 60 * 60;

/// The default of `JWT_SECRET` in dev and test. It is public, so anyone can sign tokens with it.
pub(super) const DEV_JWT_SECRET: &str = "mt-dev-secret-known-to-everybody-never-use-it";

/// Settings of Postgres.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`; `None`: the embedded engine.
    pub url: Option<Secret>,
    /// `SYSTEM_DATABASE_URL`: the login for work across orgs; `None`: the login of `DATABASE_URL`.
    pub system_url: Option<Secret>,
    /// `MIGRATE_DATABASE_URL`, or else `DATABASE_URL`.
    pub migrate_url: Option<Secret>,
    /// `DATABASE_MAX_CONNECTIONS`: the size of each login's pool.
    pub max_connections: NonZeroU32,
    /// `ORG_MAX_IN_FLIGHT`: how many connections the requests of one org may use at once; `None`: unlimited.
    pub org_max_in_flight: Option<NonZeroU32>,
}

impl DatabaseConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let takes = "a URL such as `postgres://user:password@host:5432/database`";
        let url = r.secret("DATABASE_URL", takes, is_postgres);
        let system_url = r.secret("SYSTEM_DATABASE_URL", takes, is_postgres);
        let migrate_url = r.secret("MIGRATE_DATABASE_URL", takes, is_postgres);
        let max_connections = r.count("DATABASE_MAX_CONNECTIONS", 16, 10_000);
        let most_of_them = (max_connections.get() * 3).div_ceil(4);
        Self {
            migrate_url: migrate_url.or_else(|| url.clone()),
            url,
            system_url,
            max_connections,
            org_max_in_flight: NonZeroU32::new(r.number(
                "ORG_MAX_IN_FLIGHT",
                most_of_them,
                0..=10_000,
            )),
        }
    }
}

fn is_postgres(url: &str) -> bool {
    (url.starts_with("postgres://") || url.starts_with("postgresql://"))
        && url.parse::<PgConnectOptions>().is_ok()
}

/// Limits on client connections.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `HTTP_IDLE_SECONDS`: how long a connection may wait for its next request.
    pub idle: Duration,
    /// `HTTP_MAX_CONNECTIONS`; `None`: as many as the limit on open files allows.
    pub max_connections: Option<NonZeroU32>,
    /// `HTTP_MAX_CONNECTIONS_PER_ADDRESS`, 0 for unlimited; `None`: half of the total.
    pub max_connections_per_address: Option<u32>,
}

impl HttpConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let most = "a whole number from 1 to 1000000";
        let per_address = "a whole number from 0 to 1000000";
        Self {
            idle: r.seconds("HTTP_IDLE_SECONDS", 75, 1..=3600),
            max_connections: r.optional("HTTP_MAX_CONNECTIONS", most, |value| {
                value.parse().ok().filter(|most: &NonZeroU32| most.get() <= 1_000_000)
            }),
            max_connections_per_address: r.optional(
                "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
                per_address,
                |value| value.parse().ok().filter(|most| *most <= 1_000_000),
            ),
        }
    }
}

/// Settings of Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `REDIS_URL`; `None`: rate limits are counted in the process.
    pub url: Option<Secret>,
    /// `READY_REQUIRES_REDIS`: whether `/ready` fails while Redis is down.
    pub required_for_ready: bool,
}

impl RedisConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        Self {
            url: r.secret(
                "REDIS_URL",
                "a URL such as `redis://host:6379/0` or `rediss://…`",
                |url| {
                    values::is_url_of(url, &["redis", "rediss"])
                        && RedisStore::check_url(url).is_ok()
                },
            ),
            required_for_ready: r.flag("READY_REQUIRES_REDIS").unwrap_or(true),
        }
    }
}

/// Settings of tokens, links and invites.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// `JWT_SECRET`; outside of production it has a public default.
    pub jwt_secret: Secret,
    /// `JWT_SECRET_PREVIOUS`: still accepted, never signed with.
    pub jwt_secret_previous: Option<Secret>,
    /// `JWT_TTL_SECONDS`.
    pub jwt_ttl: Duration,
    /// `MAGIC_LINK_TTL_SECONDS`.
    pub magic_link_ttl: Duration,
    /// `INVITE_TTL_SECONDS`.
    pub invite_ttl: Duration,
}

impl AuthConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let any = |_: &str| true;
        Self {
            jwt_secret: r
                .secret("JWT_SECRET", "a text", any)
                .unwrap_or_else(|| Secret::new(DEV_JWT_SECRET)),
            jwt_secret_previous: r.secret("JWT_SECRET_PREVIOUS", "a text", any),
            jwt_ttl: r.seconds("JWT_TTL_SECONDS", 3600, 1..=YEAR),
            magic_link_ttl: r.seconds("MAGIC_LINK_TTL_SECONDS", 600, 1..=YEAR),
            invite_ttl: r.seconds("INVITE_TTL_SECONDS", 7 * 24 * 60 * 60, 1..=YEAR),
        }
    }
}

/// Rate limits. `None` is unlimited.
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    /// `RATE_LIMIT_AUTH_PER_MIN`: per client address and auth endpoint.
    pub auth_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_EMAIL_PER_HOUR`: emails per address that one network causes.
    pub email_per_hour: Option<NonZeroU32>,
    /// `RATE_LIMIT_LINKS_PER_MIN`: emails to all addresses together; links to sign in have priority.
    pub links_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_INVITES_PER_HOUR`: invites that are mailed per principal, on the free plan.
    pub invites_per_hour: Option<NonZeroU32>,
    /// `RATE_LIMIT_API_PER_MIN`: per principal and org, on the free plan; and per principal outside of orgs.
    pub api_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_BILLING_PER_MIN`: requests that call Stripe, per principal.
    pub billing_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_WEBHOOKS_PER_MIN`: per client address.
    pub webhooks_per_minute: Option<NonZeroU32>,
    /// `TRUSTED_PROXIES`: the networks of proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
}

impl RateLimitConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>, env: AppEnv) -> Self {
        let (emails, links, invites) = if env.is_prod() { (10, 600, 20) } else { (0, 0, 0) };
        let (api, billing) = if env.is_prod() { (1200, 30) } else { (0, 0) };
        Self {
            auth_per_minute: r.quota("RATE_LIMIT_AUTH_PER_MIN", 20),
            email_per_hour: r.quota("RATE_LIMIT_EMAIL_PER_HOUR", emails),
            links_per_minute: r.quota("RATE_LIMIT_LINKS_PER_MIN", links),
            invites_per_hour: r.quota("RATE_LIMIT_INVITES_PER_HOUR", invites),
            api_per_minute: r.quota("RATE_LIMIT_API_PER_MIN", api),
            billing_per_minute: r.quota("RATE_LIMIT_BILLING_PER_MIN", billing),
            webhooks_per_minute: r.quota("RATE_LIMIT_WEBHOOKS_PER_MIN", 600),
            trusted_proxies: r.list(
                "TRUSTED_PROXIES",
                "networks such as `10.0.0.0/8`, separated by commas",
                |item| item.parse().ok(),
            ),
        }
    }
}

/// Settings of Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_WEBHOOK_SECRET`: several during a rotation. If empty, signatures are not checked, which production
    /// refuses.
    pub webhook_secrets: Vec<Secret>,
    /// `STRIPE_LIVEMODE`: the only mode whose events are processed; `None`: both.
    pub livemode: Option<bool>,
    /// `STRIPE_ACCOUNTS`: the only accounts whose events are processed; `None`: all.
    pub accounts: Option<Vec<String>>,
    /// `STRIPE_SECRET_KEY`; `None`: Stripe is simulated, and in production orgs cannot buy.
    pub secret_key: Option<Secret>,
    /// `STRIPE_API_BASE`: the URL of the API, for a fake Stripe in dev and test.
    pub api_base: Url,
    /// `STRIPE_PRICE_PRO`: the prices that mean the plan `pro`.
    pub pro_prices: Vec<String>,
}

/// The URL of Stripe's API.
const STRIPE: &str = "https://api.stripe.com";

impl StripeConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>, env: AppEnv) -> Self {
        let word = |item: &str| is_word(item).then(|| item.to_owned());
        let accounts = r.list("STRIPE_ACCOUNTS", "account ids, separated by commas", word);
        let prices = r.list("STRIPE_PRICE_PRO", "price ids, separated by commas", word);
        let no_space = "secrets without white space, separated by commas";
        let secrets = r.secret("STRIPE_WEBHOOK_SECRET", no_space, |v| v.split(',').all(is_word));
        let mode = r.optional("STRIPE_LIVEMODE", "`true`, `false` or `any`", |v| match v {
            "any" => Some(None),
            flag => flag.parse().ok().map(Some),
        });
        Self {
            webhook_secrets: secrets
                .map(|list| list.reveal().split(',').map(Secret::new).collect())
                .unwrap_or_default(),
            livemode: mode.unwrap_or(env.is_prod().then_some(true)),
            accounts: Some(accounts).filter(|accounts| !accounts.is_empty()),
            secret_key: r.secret("STRIPE_SECRET_KEY", "a key without white space", is_word),
            api_base: r
                .optional("STRIPE_API_BASE", "an http or https URL", |v| {
                    let url = Url::parse(v).ok()?;
                    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
                })
                .unwrap_or_else(|| Url::parse(STRIPE).expect("the address is one")),
            pro_prices: if prices.is_empty() { vec!["price_pro".to_owned()] } else { prices },
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|char: char| char.is_whitespace() || char.is_control())
}

/// Settings of the webhook workers.
#[derive(Clone, Copy, Debug)]
pub struct WebhookConfig {
    /// `WEBHOOK_MAX_ATTEMPTS`: the number of failed attempts after which an event is dead.
    pub max_attempts: NonZeroU32,
    /// `WEBHOOK_BACKOFF_MS`: the delay after the first failed attempt, doubled after each.
    pub backoff: Duration,
    /// `WEBHOOK_LEASE_SECONDS`: the lease of an event, after which another worker may claim it.
    pub lease: Duration,
    /// `WEBHOOK_WORKERS`: the number of concurrent workers in this process.
    pub workers: NonZeroU32,
    /// `WEBHOOK_RETENTION_DAYS`: how long the bodies of finished events are kept; `None`: for ever.
    pub retention: Option<Duration>,
}

impl WebhookConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let backoff = r.number("WEBHOOK_BACKOFF_MS", 1000, 1..=3_600_000);
        Self {
            max_attempts: r.count("WEBHOOK_MAX_ATTEMPTS", 10, 1000),
            backoff: Duration::from_millis(backoff.into()),
            lease: r.seconds("WEBHOOK_LEASE_SECONDS", 30, 1..=3600),
            workers: r.count("WEBHOOK_WORKERS", 2, 64),
            retention: r.days("WEBHOOK_RETENTION_DAYS", 90),
        }
    }
}

/// Settings of mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `SMTP_URL`.
    pub smtp_url: Secret,
    /// `MAIL_FROM`.
    pub from: Mailbox,
}

impl MailConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Option<Self> {
        let takes = "a URL such as `smtps://user:password@host:465`";
        let smtp_url = r.secret("SMTP_URL", takes, |url| {
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_ok()
        });
        let mailbox = "an address such as `Teams <teams@example.org>`";
        let from = r.optional("MAIL_FROM", mailbox, |value| value.parse().ok());
        let (is_mailed, has_sender) = (r.text("SMTP_URL").is_some(), r.text("MAIL_FROM").is_some());
        if is_mailed && !has_sender {
            r.refuse("MAIL_FROM", super::error::Got::Unset, format!("{mailbox} with `SMTP_URL`"));
        }
        Some(Self { smtp_url: smtp_url?, from: from? })
    }
}

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `RUST_LOG`: directives of `EnvFilter` in `tracing-subscriber`.
    pub filter: String,
    /// `LOG_FORMAT`; `None`: pretty on a terminal, otherwise JSON.
    pub format: Option<LogFormat>,
}

impl LogConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let directives = "directives such as `info,sqlx=warn`";
        let filter = r.optional("RUST_LOG", directives, |value| {
            EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
        });
        Self {
            filter: filter.unwrap_or_else(|| "info".to_owned()),
            format: r.optional("LOG_FORMAT", "`json` or `pretty`", LogFormat::parse),
        }
    }
}
