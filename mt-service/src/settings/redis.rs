//! Settings of Redis.

use mt_core::redis::RedisStore;

use super::transport::sends_password_in_clear;
use super::{Reader, Secret, Setting, values};

/// Settings of Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `REDIS_URL`; `None`: rate limits are counted in the process.
    pub url: Option<Secret>,
    /// `READY_REQUIRES_REDIS`: whether `/ready` fails while Redis is down.
    pub required_for_ready: bool,
}

impl RedisConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Self {
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

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 2] {
        let Self { url, required_for_ready } = self;
        [
            Setting::address("REDIS_URL", url.as_ref()),
            Setting::new("READY_REQUIRES_REDIS", required_for_ready),
        ]
    }

    /// Returns the risk of sending the password over the network, if there is one.
    #[must_use]
    pub fn transport_risk(&self) -> Option<String> {
        let url = self.url.as_ref().filter(|url| sends_password_in_clear(url, "rediss"));
        url.map(|_| {
            "REDIS_URL has a password and leads to another host without TLS: use `rediss://`"
                .to_owned()
        })
    }
}
