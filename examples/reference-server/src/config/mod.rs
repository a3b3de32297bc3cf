//! The settings of the server, read once from the environment and validated as a whole.
//!
//! [`Config::from_vars`] is pure: it takes a function that returns variables, so tests need no environment, and
//! nothing else in the program reads it. An empty value counts as unset. All problems are reported at once, each in
//! one line that names the variable, the value (for a secret: its length) and the accepted values.
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

mod exports;
mod exposure;
mod growth;
mod known_secrets;
mod prod;
mod sections;
mod shown;
mod transport;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mt_core::pg::portable::archive::ExportLimits;
pub use mt_service::log::{LogConfig, LogFormat, TraceConfig};
pub use mt_service::settings::{
    AppEnv, AuthConfig, BaseUrl, ConfigError, ConfigErrors, Environment, EnvironmentError,
    HttpConfig, MailConfig, RateLimitConfig, RedisConfig, Secret, Setting, WebhookConfig,
};
use mt_service::settings::{Reader, YEAR, values};
use salvo::http::HeaderValue;

pub use self::growth::GrowthConfig;
pub use self::sections::{DatabaseConfig, StripeConfig};

/// The default of `JWT_SECRET` in dev and test. It is public, so anyone can sign tokens with it.
const DEV_JWT_SECRET: &str = "mt-dev-secret-known-to-everybody-never-use-it";

/// The default of `ADMIN_TOKEN` in development and tests.
const DEV_ADMIN_TOKEN: &str = "dev-admin";

/// The settings of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `APP_ENV`: the environment that the process runs in.
    pub app_env: AppEnv,
    /// Whether `APP_ENV` is set explicitly.
    pub app_env_is_set: bool,
    /// `APP_HOST` and `APP_PORT`: the address to listen on.
    pub listen: SocketAddr,
    /// `BASE_URL`: the host of links in mails.
    pub base_url: BaseUrl,
    /// Limits on client connections.
    pub http: HttpConfig,
    /// Settings of Postgres.
    pub database: DatabaseConfig,
    /// Settings of Redis.
    pub redis: RedisConfig,
    /// Tokens, links and invites.
    pub auth: AuthConfig,
    /// `BILLING_GRACE_SECONDS`: how long `past_due` stays writable.
    pub billing_grace: Duration,
    /// Rate limits.
    pub rate_limits: RateLimitConfig,
    /// Exports of orgs over HTTP.
    pub exports: ExportLimits,
    /// Settings of Stripe.
    pub stripe: StripeConfig,
    /// Settings of the webhook workers.
    pub webhooks: WebhookConfig,
    /// Limits on rows that users create, and retention.
    pub growth: GrowthConfig,
    /// Mail; `None`: no mail is sent.
    pub mail: Option<MailConfig>,
    /// `OUTBOX_RETENTION_DAYS`: how long finished messages are kept; `None`: for ever.
    pub outbox_retention: Option<Duration>,
    /// `ADMIN_TOKEN`; `None`: the admin routes do not exist.
    pub admin_token: Option<Secret>,
    /// `CORS_ORIGINS`: origins whose scripts may read responses.
    pub cors_origins: Vec<HeaderValue>,
    /// `METRICS_ADDR`: where metrics are served instead of on the main port.
    pub metrics_addr: Option<SocketAddr>,
    /// Settings of the log.
    pub log: LogConfig,
    /// Settings of the export of traces.
    pub traces: TraceConfig,
    /// `SHUTDOWN_GRACE_SECONDS`: the maximum time from the signal to the end of the process. Requests in flight get
    /// all but one second of it.
    pub shutdown_grace: Duration,
}

impl Config {
    /// Reads the settings. `vars` returns the value of a variable.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] with every setting that does not parse, and every setting that production refuses.
    pub fn from_vars(vars: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::read(vars, false)
    }

    /// Reads the settings of a process that listens at `APP_HOST`. If other machines may reach that address,
    /// `APP_ENV` is required.
    ///
    /// # Errors
    ///
    /// Those of [`from_vars`](Self::from_vars), and `APP_ENV` if it is required and unset.
    pub fn to_listen_from_vars(
        vars: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        Self::read(vars, true)
    }

    fn read(vars: impl Fn(&str) -> Option<String>, listens: bool) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(vars);
        let r = &mut reader;
        let app_env = AppEnv::read(r);
        let config = Self {
            app_env,
            app_env_is_set: r.text("APP_ENV").is_some(),
            listen: listen(r),
            base_url: BaseUrl::read(r, "http://localhost:8000"),
            http: HttpConfig::read(r),
            database: DatabaseConfig::read(r),
            redis: RedisConfig::read(r),
            auth: AuthConfig::read(r, DEV_JWT_SECRET),
            billing_grace: r.seconds("BILLING_GRACE_SECONDS", 0, 0..=YEAR),
            rate_limits: RateLimitConfig::read(r, app_env),
            exports: exports::read(r),
            stripe: StripeConfig::read(r, app_env),
            webhooks: WebhookConfig::read(r),
            growth: GrowthConfig::read(r),
            mail: MailConfig::read(r),
            outbox_retention: r.days("OUTBOX_RETENTION_DAYS", 90),
            admin_token: admin_token(r, app_env),
            cors_origins: r.list(
                "CORS_ORIGINS",
                "origins as browsers send them (`https://app.example.org`), separated by commas",
                values::origin,
            ),
            metrics_addr: r
                .optional("METRICS_ADDR", "an IP address and a port", |value| value.parse().ok()),
            log: LogConfig::read(r),
            traces: TraceConfig::read(r, "mt-server"),
            shutdown_grace: r.seconds("SHUTDOWN_GRACE_SECONDS", 10, 0..=3600),
        };
        if listens {
            exposure::check(r, &config);
        }
        if app_env.is_prod() {
            prod::check(r, &config);
        }
        reader.finish(config)
    }
}

/// Reads a [`Config`] from the environment.
pub trait ReadConfig {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Those of [`Environment::read`].
    fn config(&self) -> Result<Config, EnvironmentError>;

    /// Reads the settings of a process that listens on a port; see [`Config::to_listen_from_vars`].
    ///
    /// # Errors
    ///
    /// Those of [`Environment::read`].
    fn config_to_listen(&self) -> Result<Config, EnvironmentError>;
}

impl ReadConfig for Environment {
    fn config(&self) -> Result<Config, EnvironmentError> {
        self.read(|vars| Config::from_vars(vars))
    }

    fn config_to_listen(&self) -> Result<Config, EnvironmentError> {
        self.read(|vars| Config::to_listen_from_vars(vars))
    }
}

fn listen(r: &mut Reader<'_>) -> SocketAddr {
    let host = r
        .optional("APP_HOST", "an IP address or `localhost`", values::listen_host)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = r.number("APP_PORT", 8000, 0..=u16::MAX.into());
    SocketAddr::new(host, u16::try_from(port).expect("the range is limited to ports"))
}

fn admin_token(r: &mut Reader<'_>, app_env: AppEnv) -> Option<Secret> {
    // Only visible ASCII can be sent in a header.
    let token = r.secret("ADMIN_TOKEN", "visible ASCII characters without spaces", |token| {
        token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match app_env {
        AppEnv::Prod => token,
        AppEnv::Dev | AppEnv::Test => token.or_else(|| Some(Secret::new(DEV_ADMIN_TOKEN))),
    }
}
