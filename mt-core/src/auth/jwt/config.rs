//! Configuration of issued and accepted tokens.

use std::time::Duration;

use super::claims::Claims;
use super::{IssueError, JwtKey};

/// The maximum leeway.
pub const MAX_LEEWAY: Duration = Duration::from_secs(30);

/// The configuration of a [`JwtAuthenticator`](super::JwtAuthenticator).
///
/// See the [module docs](super) for an example.
#[derive(Debug)]
pub struct JwtConfig {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) ttl: Duration,
    pub(super) leeway: Duration,
    pub(super) tenant_claim: Option<String>,
    pub(super) signing: JwtKey,
    pub(super) accepted: Vec<JwtKey>,
}

impl JwtConfig {
    /// Creates a configuration: tokens are issued by `issuer` for `audience`, signed with `key`, valid for an hour,
    /// and verified with 5 s of leeway for different clocks.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, key: JwtKey) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            ttl: Duration::from_hours(1),
            leeway: Duration::from_secs(5),
            tenant_claim: None,
            signing: key,
            accepted: Vec::new(),
        }
    }

    /// Also accepts tokens signed with `key`, which never signs.
    #[must_use]
    pub fn also_accept(mut self, key: JwtKey) -> Self {
        self.accepted.push(key);
        self
    }

    /// Sets the lifetime of issued tokens, in whole seconds.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets the leeway for different clocks of issuer and verifier; at most [`MAX_LEEWAY`].
    #[must_use]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets the claim that names the tenant of a bound token, as a hyphenated UUID: `org_id`, for instance.
    ///
    /// A token without the claim is valid in every tenant of its principal. A token whose claim is not a hyphenated
    /// UUID is refused.
    #[must_use]
    pub fn with_tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.tenant_claim = Some(name.into());
        self
    }

    /// Checks the configuration and returns the leeway in seconds.
    pub(super) fn checked_leeway(&self) -> Result<i64, JwtConfigError> {
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err(JwtConfigError::Unnamed);
        }
        let mut ids: Vec<_> =
            std::iter::once(&self.signing).chain(&self.accepted).filter_map(JwtKey::id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(JwtConfigError::DuplicateKeyId(twice[0].to_owned()));
        }
        if let Some(name) = &self.tenant_claim
            && (name.is_empty() || Claims::NAMES.contains(&name.as_str()))
        {
            return Err(JwtConfigError::ClaimTaken(name.clone()));
        }
        if self.leeway > MAX_LEEWAY {
            return Err(JwtConfigError::LeewayTooLong(self.leeway));
        }
        if self.ttl.as_secs() == 0 {
            return Err(JwtConfigError::NoLifetime);
        }
        Ok(i64::try_from(self.leeway.as_secs()).unwrap_or(0))
    }
}

/// The error of an invalid configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// The claim for the tenant has no name, or the name of another claim.
    #[error("claim `{0}` cannot name the tenant of a token")]
    ClaimTaken(String),
    /// Two keys have the same id, so a token's `kid` would be ambiguous.
    #[error("two keys have the id `{0}`")]
    DuplicateKeyId(String),
    /// The leeway is more than [`MAX_LEEWAY`].
    #[error("leeway of {0:?} is more than 30 s")]
    LeewayTooLong(Duration),
    /// The public key does not match the private one.
    #[error("tokens signed with the private key do not verify with the public one")]
    MismatchedPair,
    /// The lifetime is shorter than a second, so tokens would expire when they are issued.
    #[error("lifetime of tokens is shorter than a second")]
    NoLifetime,
    /// The text is not a PEM key of that kind.
    #[error("the text is not an Ed25519 key in PEM")]
    NotAKey(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Issuer or audience is empty.
    #[error("issuer and audience need a name")]
    Unnamed,
    /// The crypto backend rejected the key.
    #[error("key cannot be used")]
    Unusable(#[source] IssueError),
    /// The shared secret is too short (RFC 8725 §3.5, RFC 7518 §3.2).
    #[error("secret of {length} bytes is too short; HS256 needs at least 32 random bytes")]
    WeakSecret {
        /// The length of the secret in bytes.
        length: usize,
    },
}
