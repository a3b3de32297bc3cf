//! Settings from the environment and a `.env` file, validated as a whole.
//!
//! A [`Reader`] reads one variable after another and collects every error, each in one line that names the variable, the
//! value (for a secret: its length) and the accepted values. An empty value counts as unset. The groups that most
//! services have are here: [`HttpConfig`], [`AuthConfig`], [`RateLimitConfig`], [`WebhookConfig`], and by their
//! features `RedisConfig` (`redis`) and `MailConfig` (`mail`). Each has `read` and `shown`, and those with secrets
//! also `check_production` and `transport_risk`.
//!
//! ```
//! use mt_service::settings::{AppEnv, ConfigErrors, HttpConfig, Reader};
//!
//! struct Config {
//!     app_env: AppEnv,
//!     http: HttpConfig,
//!     notes_per_page: u32,
//! }
//!
//! fn read(vars: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
//!     let mut r = Reader::new(vars);
//!     let config = Config {
//!         app_env: AppEnv::read(&mut r),
//!         http: HttpConfig::read(&mut r),
//!         notes_per_page: r.number("NOTES_PER_PAGE", 20, 1..=100),
//!     };
//!     r.finish(config)
//! }
//!
//! let errors = read(|name| (name == "NOTES_PER_PAGE").then(|| "all".to_owned())).err().unwrap();
//! assert_eq!(errors.to_string(), "`NOTES_PER_PAGE` is `all`; it takes a whole number from 1 to 100");
//! assert_eq!(read(|_name| None)?.app_env, AppEnv::Dev);
//! # Ok::<(), ConfigErrors>(())
//! ```
//!
//! In a process the variables come from an [`Environment`]: `environment.read(|vars| read(vars))`.

mod auth;
mod dotenv;
mod environment;
mod error;
pub mod guessable;
mod http;
#[cfg(feature = "mail")]
mod mail;
mod rate_limits;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod secret;
mod setting;
pub mod transport;
pub mod values;
mod webhooks;

pub use self::auth::AuthConfig;
pub use self::environment::{Environment, EnvironmentError};
pub use self::error::{ConfigError, ConfigErrors};
pub use self::http::HttpConfig;
#[cfg(feature = "mail")]
pub use self::mail::MailConfig;
pub use self::rate_limits::RateLimitConfig;
pub use self::reader::Reader;
#[cfg(feature = "redis")]
pub use self::redis::RedisConfig;
pub use self::secret::Secret;
pub use self::setting::Setting;
pub use self::values::{AppEnv, BaseUrl};
pub use self::webhooks::WebhookConfig;

/// The maximum of settings in seconds.
pub const YEAR: u32 = 366 * 24 * 60 * 60;
