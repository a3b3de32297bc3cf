//! Settings of tokens, links and invites.

use std::time::Duration;

use super::{Reader, Secret, Setting, YEAR};

/// Settings of tokens, links and invites.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// `JWT_SECRET`; outside of production it may have a public default.
    pub jwt_secret: Secret,
    /// `JWT_SECRET_PREVIOUS`: still accepted, never signed with.
    pub jwt_secret_previous: Option<Secret>,
    /// `API_KEY_SECRET`: the key of the hashes of API keys; without it that is `JWT_SECRET`.
    pub api_key_secret: Option<Secret>,
    /// `JWT_TTL_SECONDS`.
    pub jwt_ttl: Duration,
    /// `MAGIC_LINK_TTL_SECONDS`.
    pub magic_link_ttl: Duration,
    /// `INVITE_TTL_SECONDS`.
    pub invite_ttl: Duration,
}

impl AuthConfig {
    /// Reads the variables. `default` is the `JWT_SECRET` of development, a public text.
    #[must_use]
    pub fn read(r: &mut Reader<'_>, default: &str) -> Self {
        let any = |_: &str| true;
        Self {
            jwt_secret: r
                .secret("JWT_SECRET", "a text", any)
                .unwrap_or_else(|| Secret::new(default)),
            jwt_secret_previous: r.secret("JWT_SECRET_PREVIOUS", "a text", any),
            api_key_secret: r.secret("API_KEY_SECRET", "a text", any),
            jwt_ttl: r.seconds("JWT_TTL_SECONDS", 3600, 1..=YEAR),
            magic_link_ttl: r.seconds("MAGIC_LINK_TTL_SECONDS", 600, 1..=YEAR),
            invite_ttl: r.seconds("INVITE_TTL_SECONDS", 7 * 24 * 60 * 60, 1..=YEAR),
        }
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 6] {
        let Self {
            jwt_secret,
            jwt_secret_previous,
            api_key_secret,
            jwt_ttl,
            magic_link_ttl,
            invite_ttl,
        } = self;
        [
            Setting::secret("JWT_SECRET", Some(jwt_secret)),
            Setting::secret("JWT_SECRET_PREVIOUS", jwt_secret_previous.as_ref()),
            Setting::secret("API_KEY_SECRET", api_key_secret.as_ref()),
            Setting::seconds("JWT_TTL_SECONDS", *jwt_ttl),
            Setting::seconds("MAGIC_LINK_TTL_SECONDS", *magic_link_ttl),
            Setting::seconds("INVITE_TTL_SECONDS", *invite_ttl),
        ]
    }

    /// Refuses secrets that are short or guessable. `known` are the secrets that files of the project show.
    pub fn check_production(&self, r: &mut Reader<'_>, known: &[&str]) {
        r.refuse_weak("JWT_SECRET", Some(&self.jwt_secret), known);
        r.refuse_weak("JWT_SECRET_PREVIOUS", self.jwt_secret_previous.as_ref(), known);
        r.refuse_weak("API_KEY_SECRET", self.api_key_secret.as_ref(), known);
    }
}
