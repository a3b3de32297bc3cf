//! The settings that belong together, and how each group is read.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use reqwest::Url;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::secret::Secret;
use super::values::{self, AppEnv, LogFormat};

/// The longest time that a setting takes, in seconds.
pub(super) const YEAR: u32 = 366 * 24 * 60 * 60;

/// The secret that tokens are signed with where nobody cares. It is in the source code, so anybody
/// can sign with it.
pub(super) const DEV_JWT_SECRET: &str = "mt-dev-secret-known-to-everybody-never-use-it";

/// Postgres.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`; `None`: the embedded engine.
    pub url: Option<Secret>,
    /// `MIGRATE_DATABASE_URL`, or else `DATABASE_URL`.
    pub migrate_url: Option<Secret>,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub max_connections: NonZeroU32,
    /// `ACCESS_CACHE_SECONDS`: how long a membership is remembered; zero: not at all.
    pub access_cache: Duration,
    /// `ORG_MAX_IN_FLIGHT`: how many requests of one org are worked on at once; `None`: any number.
    pub org_max_in_flight: Option<NonZeroU32>,
}

impl DatabaseConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        let takes = "a URL such as `postgres://user:password@host:5432/database`";
        let url = r.secret("DATABASE_URL", takes, is_postgres);
        let migrate_url = r.secret("MIGRATE_DATABASE_URL", takes, is_postgres);
        let max_connections = r.count("DATABASE_MAX_CONNECTIONS", 16, 10_000);
        let most_of_them = (max_connections.get() * 3).div_ceil(4);
        Self {
            migrate_url: migrate_url.or_else(|| url.clone()),
            url,
            max_connections,
            org_max_in_flight: NonZeroU32::new(r.number(
                "ORG_MAX_IN_FLIGHT",
                most_of_them,
                0..=10_000,
            )),
            access_cache: r.seconds("ACCESS_CACHE_SECONDS", 0, 0..=3600),
        }
    }
}

fn is_postgres(url: &str) -> bool {
    (url.starts_with("postgres://") || url.starts_with("postgresql://"))
        && url.parse::<PgConnectOptions>().is_ok()
}

/// Connections of clients.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `HTTP_IDLE_SECONDS`: how long a connection is kept open for its next request.
    pub idle: Duration,
    /// `HTTP_MAX_CONNECTIONS`; `None`: as many as the limit on open files allows.
    pub max_connections: Option<NonZeroU32>,
    /// `HTTP_MAX_CONNECTIONS_PER_ADDRESS`, 0 for any number; `None`: half of those in all.
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

/// Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `REDIS_URL`; `None`: limits are kept in the process.
    pub url: Option<Secret>,
    /// `READY_REQUIRES_REDIS`: whether a replica without its Redis is ready.
    pub required_for_ready: bool,
}

impl RedisConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> Self {
        Self {
            url: r.secret("REDIS_URL", "a URL such as `redis://host:6379/0`", |url| {
                values::is_url_of(url, &["redis", "rediss"])
            }),
            required_for_ready: r.flag("READY_REQUIRES_REDIS").unwrap_or(true),
        }
    }
}

/// Tokens, links and invites.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// `JWT_SECRET`, or outside of production a secret that everybody knows.
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

/// How many requests are let through. `None` is off.
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    /// `RATE_LIMIT_AUTH_PER_MIN`: per client address and auth endpoint.
    pub auth_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_EMAIL_PER_HOUR`: links per e-mail address.
    pub email_per_hour: Option<NonZeroU32>,
    /// `RATE_LIMIT_LINKS_PER_MIN`: links to all addresses together.
    pub links_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_API_PER_MIN`: per principal and org, on the free plan.
    pub api_per_minute: Option<NonZeroU32>,
    /// `RATE_LIMIT_WEBHOOKS_PER_MIN`: per client address.
    pub webhooks_per_minute: Option<NonZeroU32>,
    /// `TRUSTED_PROXIES`: whose forwarding headers count.
    pub trusted_proxies: Vec<IpNet>,
}

impl RateLimitConfig {
    pub(super) fn read<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>, env: AppEnv) -> Self {
        let (emails, links) = if env.is_prod() { (10, 600) } else { (0, 0) };
        Self {
            auth_per_minute: r.quota("RATE_LIMIT_AUTH_PER_MIN", 20),
            email_per_hour: r.quota("RATE_LIMIT_EMAIL_PER_HOUR", emails),
            links_per_minute: r.quota("RATE_LIMIT_LINKS_PER_MIN", links),
            api_per_minute: r.quota("RATE_LIMIT_API_PER_MIN", 0),
            webhooks_per_minute: r.quota("RATE_LIMIT_WEBHOOKS_PER_MIN", 600),
            trusted_proxies: r.list(
                "TRUSTED_PROXIES",
                "networks such as `10.0.0.0/8`, separated by commas",
                |item| item.parse().ok(),
            ),
        }
    }
}

/// Stripe's side of billing.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_WEBHOOK_SECRET`, several while one is replaced. None: signatures are not checked,
    /// which production refuses.
    pub webhook_secrets: Vec<Secret>,
    /// `STRIPE_LIVEMODE`: the only mode whose events count; `None`: any.
    pub livemode: Option<bool>,
    /// `STRIPE_ACCOUNTS`: the only accounts whose events count; `None`: any.
    pub accounts: Option<Vec<String>>,
    /// `STRIPE_SECRET_KEY`; `None`: customers are simulated.
    pub secret_key: Option<Secret>,
    /// `STRIPE_API_BASE`: where Stripe is, for a stand-in in dev and test.
    pub api_base: Url,
    /// `STRIPE_PRICE_PRO`: the prices that mean the plan `pro`.
    pub pro_prices: Vec<String>,
}

/// Stripe itself.
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

/// How stored events are worked off.
#[derive(Clone, Copy, Debug)]
pub struct WebhookConfig {
    /// `WEBHOOK_MAX_ATTEMPTS`: after so many an event is dead.
    pub max_attempts: NonZeroU32,
    /// `WEBHOOK_BACKOFF_MS`: the wait after the first failed attempt, doubled after each.
    pub backoff: Duration,
    /// `WEBHOOK_LEASE_SECONDS`: how long a worker may take before another tries.
    pub lease: Duration,
    /// `WEBHOOK_WORKERS`: how many events are worked on at once in this process.
    pub workers: NonZeroU32,
    /// `WEBHOOK_RETENTION_DAYS`: how long the bodies of events that are done with are kept; `None`: for
    /// ever.
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
            retention: match r.number("WEBHOOK_RETENTION_DAYS", 90, 0..=36_500) {
                0 => None,
                days => Some(Duration::from_hours(24 * u64::from(days))),
            },
        }
    }
}

/// Mail.
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

/// The log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `RUST_LOG`: directives of `tracing-subscriber`'s `EnvFilter`.
    pub filter: String,
    /// `LOG_FORMAT`; `None`: pretty on a terminal, else JSON.
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
