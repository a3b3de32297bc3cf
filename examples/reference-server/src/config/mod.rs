//! What the environment says, read once, checked as a whole and handed on as types.
//!
//! [`Config::from_vars`] is pure: it asks a function for variables, so that a test needs no
//! environment and nothing else in the program reads it. An empty value is an unset one. Every
//! problem is found in one go and said in one line that names the variable, what it got (a secret:
//! its length) and what it takes.
//!
//! ```
//! use reference_server::config::{AppEnv, Config};
//!
//! let config = Config::from_vars(|_name| None)?;
//! assert_eq!(config.app_env, AppEnv::Dev);
//! assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
//!
//! let errors = Config::from_vars(|name| (name == "APP_PORT").then(|| "http".to_owned()))
//!     .unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "`APP_PORT` is `http`; it takes a whole number from 0 to 65535",
//! );
//! # Ok::<(), reference_server::config::ConfigErrors>(())
//! ```

mod dotenv;
mod environment;
mod error;
mod prod;
mod reader;
mod secret;
mod sections;
mod shown;
mod traces;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use salvo::http::HeaderValue;

pub use self::environment::{Environment, EnvironmentError};
pub use self::error::{ConfigError, ConfigErrors};
use self::reader::Reader;
pub use self::secret::Secret;
pub use self::sections::{
    AuthConfig, DatabaseConfig, HttpConfig, LogConfig, MailConfig, RateLimitConfig, RedisConfig,
    StripeConfig, WebhookConfig,
};
pub use self::shown::Setting;
pub use self::traces::{Sampler, TraceConfig};
pub use self::values::{AppEnv, BaseUrl, LogFormat};

/// The settings of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `APP_ENV`: what the process is run for.
    pub app_env: AppEnv,
    /// `APP_HOST` and `APP_PORT`: where to listen.
    pub listen: SocketAddr,
    /// `BASE_URL`: the host of links in mails.
    pub base_url: BaseUrl,
    /// Connections of clients.
    pub http: HttpConfig,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Tokens, links and invites.
    pub auth: AuthConfig,
    /// `BILLING_GRACE_SECONDS`: how long `past_due` stays writable.
    pub billing_grace: Duration,
    /// How many requests are let through.
    pub rate_limits: RateLimitConfig,
    /// Stripe's side of billing.
    pub stripe: StripeConfig,
    /// How stored events are worked off.
    pub webhooks: WebhookConfig,
    /// Mail; `None`: nothing is mailed.
    pub mail: Option<MailConfig>,
    /// `ADMIN_TOKEN`; `None`: there are no admin routes.
    pub admin_token: Option<Secret>,
    /// `CORS_ORIGINS`: origins whose scripts may read answers.
    pub cors_origins: Vec<HeaderValue>,
    /// `METRICS_ADDR`: where metrics are served instead of on the main port.
    pub metrics_addr: Option<SocketAddr>,
    /// The log.
    pub log: LogConfig,
    /// Traces for a collector.
    pub traces: TraceConfig,
    /// `SHUTDOWN_GRACE_SECONDS`: how long the process may take to end, of which requests under way get all but a second.
    pub shutdown_grace: Duration,
}

impl Config {
    /// Reads the settings from `vars`, which gives the value of a variable.
    ///
    /// # Errors
    ///
    /// Every setting that does not parse, and every one with which production refuses to start.
    pub fn from_vars(vars: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(vars);
        let r = &mut reader;
        let app_env =
            r.optional("APP_ENV", "`dev`, `test` or `prod`", AppEnv::parse).unwrap_or(AppEnv::Dev);
        let config = Self {
            app_env,
            listen: listen(r),
            base_url: base_url(r),
            http: HttpConfig::read(r),
            database: DatabaseConfig::read(r),
            redis: RedisConfig::read(r),
            auth: AuthConfig::read(r),
            billing_grace: r.seconds("BILLING_GRACE_SECONDS", 0, 0..=sections::YEAR),
            rate_limits: RateLimitConfig::read(r, app_env),
            stripe: StripeConfig::read(r, app_env),
            webhooks: WebhookConfig::read(r),
            mail: MailConfig::read(r),
            admin_token: admin_token(r, app_env),
            cors_origins: r.list(
                "CORS_ORIGINS",
                "origins as browsers send them (`https://app.example.org`), separated by commas",
                values::origin,
            ),
            metrics_addr: r
                .optional("METRICS_ADDR", "an IP address and a port", |value| value.parse().ok()),
            log: LogConfig::read(r),
            traces: TraceConfig::read(r),
            shutdown_grace: r.seconds("SHUTDOWN_GRACE_SECONDS", 10, 0..=3600),
        };
        if app_env.is_prod() {
            prod::check(r, &config);
        }
        let errors = reader.into_errors();
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }
}

fn listen<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> SocketAddr {
    let host = r
        .optional("APP_HOST", "an IP address or `localhost`", values::listen_host)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = r.number("APP_PORT", 8000, 0..=u16::MAX.into());
    SocketAddr::new(host, u16::try_from(port).expect("the range is that of ports"))
}

fn base_url<F: Fn(&str) -> Option<String>>(r: &mut Reader<F>) -> BaseUrl {
    r.optional("BASE_URL", "an http or https URL without user, query or fragment", BaseUrl::parse)
        .unwrap_or_else(|| BaseUrl::parse("http://localhost:8000").expect("a valid URL"))
}

fn admin_token<F: Fn(&str) -> Option<String>>(
    r: &mut Reader<F>,
    app_env: AppEnv,
) -> Option<Secret> {
    // Visible ASCII, or no client could send it in a header.
    let token = r.secret("ADMIN_TOKEN", "visible ASCII characters without spaces", |token| {
        token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match app_env {
        AppEnv::Prod => token,
        AppEnv::Dev | AppEnv::Test => token.or_else(|| Some(Secret::new("dev-admin"))),
    }
}
