//! The settings in force, without secrets: `serve --print-config`.
//!
//! Each group is destructured field by field, so that a setting which is not shown does not compile. A test compares
//! the names with those that are read and with `.env.example`.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::time::Duration;

use reqwest::Url;

use super::{
    AuthConfig, Config, DatabaseConfig, HttpConfig, LogConfig, LogFormat, RateLimitConfig,
    RedisConfig, Secret, StripeConfig, WebhookConfig,
};

/// A variable and its value in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// The value, without secrets; `None`: unset, without a default.
    pub value: Option<String>,
}

impl Setting {
    pub(super) fn new(name: &'static str, value: impl Display) -> Self {
        Self { name, value: Some(value.to_string()) }
    }

    pub(super) fn optional(name: &'static str, value: Option<impl Display>) -> Self {
        Self { name, value: value.map(|value| value.to_string()) }
    }

    pub(super) fn secret(name: &'static str, secret: Option<&Secret>) -> Self {
        Self::optional(name, secret.map(length))
    }

    /// The host of a URL, without the credentials.
    pub(super) fn address(name: &'static str, url: Option<&Secret>) -> Self {
        Self::optional(name, url.map(|url| address(url).unwrap_or_else(|| length(url))))
    }

    pub(super) fn seconds(name: &'static str, duration: Duration) -> Self {
        Self::new(name, duration.as_secs())
    }

    pub(super) fn days(name: &'static str, duration: Option<Duration>) -> Self {
        Self::new(name, duration.map_or(0, |duration| duration.as_secs() / (24 * 60 * 60)))
    }

    pub(super) fn quota(name: &'static str, quota: Option<NonZeroU32>) -> Self {
        Self::new(name, quota.map_or(0, NonZeroU32::get))
    }

    pub(super) fn list(name: &'static str, items: impl IntoIterator<Item = impl Display>) -> Self {
        let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
        Self::optional(name, (!items.is_empty()).then(|| items.join(",")))
    }
}

fn length(secret: &Secret) -> String {
    format!("({} bytes)", secret.reveal().len())
}

/// Returns scheme, host, port and path, because the query of a URL may hold a password too.
fn address(url: &Secret) -> Option<String> {
    let url = Url::parse(url.reveal()).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://…@{}{port}{}", url.scheme(), url.host_str()?, url.path()))
}

impl Config {
    /// Returns every variable that is read, with its value.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let Self {
            app_env,
            app_env_is_set: _,
            listen,
            base_url,
            http,
            database,
            redis,
            auth,
            billing_grace,
            rate_limits,
            exports,
            stripe,
            webhooks,
            growth,
            mail,
            outbox_retention,
            admin_token,
            cors_origins,
            metrics_addr,
            log,
            traces,
            shutdown_grace,
        } = self;
        let origins = cors_origins.iter().map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        let mut shown = vec![
            Setting::new("APP_ENV", app_env.as_str()),
            Setting::new("APP_HOST", listen.ip()),
            Setting::new("APP_PORT", listen.port()),
            Setting::new("BASE_URL", base_url.as_str()),
        ];
        shown.extend(http.shown());
        shown.extend(database.shown());
        shown.extend(redis.shown());
        shown.extend(auth.shown());
        shown.push(Setting::seconds("BILLING_GRACE_SECONDS", *billing_grace));
        shown.extend(rate_limits.shown());
        shown.extend(super::exports::shown(*exports));
        shown.extend(stripe.shown());
        shown.extend(webhooks.shown());
        shown.extend(growth.shown());
        shown.extend([
            Setting::address("SMTP_URL", mail.as_ref().map(|mail| &mail.smtp_url)),
            Setting::optional("MAIL_FROM", mail.as_ref().map(|mail| &mail.from)),
            Setting::days("OUTBOX_RETENTION_DAYS", *outbox_retention),
            Setting::secret("ADMIN_TOKEN", admin_token.as_ref()),
            Setting::list("CORS_ORIGINS", origins),
            Setting::optional("METRICS_ADDR", *metrics_addr),
        ]);
        shown.extend(log.shown());
        shown.extend(traces.shown());
        shown.push(Setting::seconds("SHUTDOWN_GRACE_SECONDS", *shutdown_grace));
        shown
    }
}

impl HttpConfig {
    fn shown(&self) -> [Setting; 3] {
        let Self { idle, max_connections, max_connections_per_address: per_address } = self;
        [
            Setting::seconds("HTTP_IDLE_SECONDS", *idle),
            Setting::optional("HTTP_MAX_CONNECTIONS", *max_connections),
            Setting::optional("HTTP_MAX_CONNECTIONS_PER_ADDRESS", *per_address),
        ]
    }
}

impl DatabaseConfig {
    fn shown(&self) -> [Setting; 5] {
        let Self { url, system_url, migrate_url, .. } = self;
        let Self { max_connections, org_max_in_flight, .. } = self;
        [
            Setting::address("DATABASE_URL", url.as_ref()),
            Setting::address("SYSTEM_DATABASE_URL", system_url.as_ref()),
            Setting::address("MIGRATE_DATABASE_URL", migrate_url.as_ref()),
            Setting::new("DATABASE_MAX_CONNECTIONS", max_connections),
            Setting::quota("ORG_MAX_IN_FLIGHT", *org_max_in_flight),
        ]
    }
}

impl RedisConfig {
    fn shown(&self) -> [Setting; 2] {
        let Self { url, required_for_ready } = self;
        [
            Setting::address("REDIS_URL", url.as_ref()),
            Setting::new("READY_REQUIRES_REDIS", required_for_ready),
        ]
    }
}

impl AuthConfig {
    fn shown(&self) -> [Setting; 5] {
        let Self { jwt_secret, jwt_secret_previous, jwt_ttl, magic_link_ttl, invite_ttl } = self;
        [
            Setting::secret("JWT_SECRET", Some(jwt_secret)),
            Setting::secret("JWT_SECRET_PREVIOUS", jwt_secret_previous.as_ref()),
            Setting::seconds("JWT_TTL_SECONDS", *jwt_ttl),
            Setting::seconds("MAGIC_LINK_TTL_SECONDS", *magic_link_ttl),
            Setting::seconds("INVITE_TTL_SECONDS", *invite_ttl),
        ]
    }
}

impl RateLimitConfig {
    fn shown(&self) -> [Setting; 8] {
        let Self {
            auth_per_minute,
            email_per_hour,
            links_per_minute,
            invites_per_hour,
            api_per_minute,
            billing_per_minute,
            webhooks_per_minute,
            trusted_proxies,
        } = self;
        [
            Setting::quota("RATE_LIMIT_AUTH_PER_MIN", *auth_per_minute),
            Setting::quota("RATE_LIMIT_EMAIL_PER_HOUR", *email_per_hour),
            Setting::quota("RATE_LIMIT_LINKS_PER_MIN", *links_per_minute),
            Setting::quota("RATE_LIMIT_INVITES_PER_HOUR", *invites_per_hour),
            Setting::quota("RATE_LIMIT_API_PER_MIN", *api_per_minute),
            Setting::quota("RATE_LIMIT_BILLING_PER_MIN", *billing_per_minute),
            Setting::quota("RATE_LIMIT_WEBHOOKS_PER_MIN", *webhooks_per_minute),
            Setting::list("TRUSTED_PROXIES", trusted_proxies),
        ]
    }
}

impl StripeConfig {
    fn shown(&self) -> [Setting; 6] {
        let Self { webhook_secrets, livemode, accounts, secret_key, api_base, pro_prices } = self;
        let livemode = livemode.map_or("any".to_owned(), |mode| mode.to_string());
        [
            Setting::list("STRIPE_WEBHOOK_SECRET", webhook_secrets.iter().map(length)),
            Setting::new("STRIPE_LIVEMODE", livemode),
            Setting::list("STRIPE_ACCOUNTS", accounts.iter().flatten()),
            Setting::secret("STRIPE_SECRET_KEY", secret_key.as_ref()),
            Setting::new("STRIPE_API_BASE", api_base),
            Setting::list("STRIPE_PRICE_PRO", pro_prices),
        ]
    }
}

impl WebhookConfig {
    fn shown(&self) -> [Setting; 5] {
        let Self { max_attempts, backoff, lease, workers, retention } = self;
        [
            Setting::new("WEBHOOK_MAX_ATTEMPTS", max_attempts),
            Setting::new("WEBHOOK_BACKOFF_MS", backoff.as_millis()),
            Setting::seconds("WEBHOOK_LEASE_SECONDS", *lease),
            Setting::new("WEBHOOK_WORKERS", workers),
            Setting::days("WEBHOOK_RETENTION_DAYS", *retention),
        ]
    }
}

impl LogConfig {
    fn shown(&self) -> [Setting; 2] {
        let Self { filter, format } = self;
        [
            Setting::new("RUST_LOG", filter),
            Setting::optional("LOG_FORMAT", format.map(LogFormat::as_str)),
        ]
    }
}
