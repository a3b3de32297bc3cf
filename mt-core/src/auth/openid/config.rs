//! Configuration of a provider whose tokens are accepted.

use std::time::Duration;

use serde_json::Value;

use super::SigningAlgorithm;
use super::claims::ClaimRules;
use super::endpoint;
use super::schedule::Schedule;
use crate::auth::identity_name::is_storable;
use crate::auth::jwt::MAX_LEEWAY;

/// The configuration of an [`OpenIdVerifier`](super::OpenIdVerifier): which tokens of one issuer are accepted.
///
/// See the [module docs](super) for an example, and `docs/identity-providers.md` for the values of seven providers.
#[derive(Clone, Debug)]
#[must_use]
pub struct OpenIdConfig {
    pub(super) rules: ClaimRules,
    pub(super) algorithms: Vec<SigningAlgorithm>,
    pub(super) jwks_uri: Option<String>,
    pub(super) schedule: Schedule,
    pub(super) allow_loopback: bool,
    leeway: Duration,
    has_dedicated_keys: bool,
}

impl OpenIdConfig {
    /// Creates a configuration for tokens whose `iss` is exactly `issuer`, an HTTPS URL.
    ///
    /// The key set is found at `{issuer}/.well-known/openid-configuration`. Tokens are signed with RS256, ES256 or
    /// `EdDSA`, and verified with 5 s of leeway for different clocks. The configuration needs an
    /// [audience](Self::accept_audience) or an [authorized party](Self::accept_authorized_party) too.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            rules: ClaimRules::new(issuer.into()),
            algorithms: SigningAlgorithm::DEFAULT.to_vec(),
            jwks_uri: None,
            schedule: Schedule::DEFAULT,
            allow_loopback: false,
            leeway: Duration::from_secs(5),
            has_dedicated_keys: false,
        }
    }

    /// Accepts tokens for `audience`: one of the values of `aud`.
    ///
    /// Without an audience, `aud` is not looked at. With several, a token needs one of them.
    pub fn accept_audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Accepts tokens that were issued to `party`: the value of `azp` or, in a token without `azp`, of `client_id` (RFC
    /// 9068).
    ///
    /// Without an authorized party, neither is looked at. With audiences and authorized parties, a token needs one of
    /// each.
    pub fn accept_authorized_party(mut self, party: impl Into<String>) -> Self {
        self.rules.authorized_parties.push(party.into());
        self
    }

    /// Accepts only tokens whose claim `name` has exactly this value, such as `"sts"` and `"active"`.
    pub fn require_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.rules.required.push((name.into(), value.into()));
        self
    }

    /// Accepts tokens without an audience and an authorized party, because the keys at `jwks_uri` sign tokens for this
    /// application and for no other.
    ///
    /// WorkOS has such keys. With any other provider, a token that was issued to another application of the provider
    /// would sign its user in here.
    pub fn with_dedicated_keys(self, jwks_uri: impl Into<String>) -> Self {
        Self { has_dedicated_keys: true, ..self.with_jwks_uri(jwks_uri) }
    }

    /// Fetches the key set from this address and does not look for a discovery document.
    pub fn with_jwks_uri(mut self, jwks_uri: impl Into<String>) -> Self {
        self.jwks_uri = Some(jwks_uri.into());
        self
    }

    /// Replaces the accepted algorithms.
    pub fn with_algorithms(
        mut self,
        algorithms: impl IntoIterator<Item = SigningAlgorithm>,
    ) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the leeway for different clocks of provider and verifier; at most 30 s.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Replaces the names of the claims with the e-mail address and with whether it is verified, `email` and
    /// `email_verified`.
    ///
    /// The address counts only if the second claim is the boolean `true`.
    pub fn with_email_claims(
        mut self,
        email: impl Into<String>,
        verified: impl Into<String>,
    ) -> Self {
        (self.rules.email, self.rules.email_verified) = (email.into(), verified.into());
        self
    }

    /// Sets the age at which the key set is fetched again in the background; 5 minutes by default. It bounds for how
    /// long a key works after the provider has withdrawn it.
    pub fn with_refresh_after(mut self, age: Duration) -> Self {
        self.schedule.refresh_after = age;
        self
    }

    /// Sets the time from one fetch of the key set to the next, at least; 10 s by default. It bounds how often tokens
    /// with unknown keys lead to a fetch.
    pub fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.schedule.interval = interval;
        self
    }

    /// Sets for how long the last keys work while the provider cannot be reached; 24 hours by default. After that,
    /// tokens are answered with [`AuthError::Unavailable`](crate::auth::AuthError::Unavailable).
    pub fn with_max_staleness(mut self, age: Duration) -> Self {
        self.schedule.max_staleness = age;
        self
    }

    /// Allows plain HTTP to addresses of this machine, for tests and development.
    pub fn allow_http_on_loopback(mut self) -> Self {
        self.allow_loopback = true;
        self
    }

    /// Checks the configuration and completes it.
    pub(super) fn checked(mut self) -> Result<Self, OpenIdConfigError> {
        let rules = &mut self.rules;
        let issuer = &rules.issuer;
        if !is_storable(issuer) || !endpoint::is_issuer(issuer, self.allow_loopback) {
            return Err(OpenIdConfigError::Address(issuer.clone()));
        }
        if let Some(uri) = &self.jwks_uri
            && !endpoint::is_allowed(uri, self.allow_loopback)
        {
            return Err(OpenIdConfigError::Address(uri.clone()));
        }
        let is_pinned = !rules.audiences.is_empty() || !rules.authorized_parties.is_empty();
        if !is_pinned && !self.has_dedicated_keys {
            return Err(OpenIdConfigError::NoAudience);
        }
        let claims = rules.required.iter().map(|(name, _)| name);
        let mut names = rules.audiences.iter().chain(&rules.authorized_parties).chain(claims);
        if names.any(String::is_empty) || rules.email.is_empty() || rules.email_verified.is_empty()
        {
            return Err(OpenIdConfigError::Unnamed);
        }
        if self.algorithms.is_empty() {
            return Err(OpenIdConfigError::NoAlgorithm);
        }
        if self.leeway > MAX_LEEWAY {
            return Err(OpenIdConfigError::LeewayTooLong(self.leeway));
        }
        if !self.schedule.is_sound() {
            return Err(OpenIdConfigError::Schedule);
        }
        rules.leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(0);
        Ok(self)
    }
}

/// The error of an unsafe or contradictory configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenIdConfigError {
    /// An issuer or the address of a key set is not an HTTPS URL.
    #[error(
        "`{0}` is not an https url without user information, query and fragment; http on this machine has to be allowed"
    )]
    Address(String),
    /// Two configurations of one authenticator have the same issuer.
    #[error("issuer `{0}` is configured twice; one configuration may have several audiences")]
    DuplicateIssuer(String),
    /// The leeway is more than 30 s.
    #[error("leeway of {0:?} is more than 30 s")]
    LeewayTooLong(Duration),
    /// No algorithm is accepted.
    #[error("no signature algorithm is accepted")]
    NoAlgorithm,
    /// Neither audience nor authorized party is pinned, so tokens for other applications would be accepted.
    #[error("neither an audience nor an authorized party is accepted; call `accept_audience`")]
    NoAudience,
    /// The times do not fit together.
    #[error(
        "a second <= refresh interval <= refresh age <= maximum staleness does not hold for the key set"
    )]
    Schedule,
    /// An audience, an authorized party or a claim's name is empty.
    #[error("audiences, authorized parties and claims need a name")]
    Unnamed,
}
