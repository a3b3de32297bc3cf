//! JSON Web Tokens (RFC 7519): an [`Authenticator`] that issues and verifies them.
//!
//! A token proves identity only: it names a principal (`sub`) and the session generation that it was issued in
//! (`ver`). Roles and plans are read where they are used.
//!
//! # Tokens of one tenant
//!
//! With [`JwtConfig::with_tenant_claim`] a token may be limited to one tenant. That makes it a
//! [bound](Principal::bound_to) credential: it has no access to other tenants. The membership and role in its own
//! tenant are still read where they are used; a token never contains them.
//!
//! # On behalf of a user
//!
//! A token with the claim `act` (RFC 8693, section 4.1) is used by a service account on behalf of its subject. `act.sub` is
//! the id of the account; both the user and the account decide ([`Principal::acted_by`]). An `act` within `act` names prior
//! actors, which are not looked at.
//!
//! # Refused tokens
//!
//! A token is refused with [`AuthError::Invalid`], whose text is for logs, when
//!
//! * no configured key verifies its signature. Each key has one algorithm; the token's `alg` never selects one (RFC
//!   8725 §3.1), so `none` and an HMAC made with a public key fail;
//! * `exp`, `aud`, `iss`, `sub` or `ver` is missing or has the wrong type; `aud` or `iss` is not the configured one;
//!   `sub`, `act.sub` or the tenant claim is not a hyphenated UUID;
//! * it has expired, or its `nbf` is in the future, by the given [`Clock`] and with at most 30 s leeway;
//! * its header requires an unsupported extension (`crit`) or has another type (`typ` other than `JWT`).
//!
//! # Keys
//!
//! [`JwtConfig::new`] takes the key that signs; [`JwtConfig::also_accept`] adds keys that only verify. To rotate a
//! secret, accept the old one until the last token signed with it has expired. A token with a `kid` is verified with
//! the key of that id, one without with the keys that have none.
//!
//! # Deployment
//!
//! The binary chooses the crypto backend: enable exactly one of the features `jwt-aws-lc-rs` and `jwt-rust-crypto`,
//! or install a provider of `jsonwebtoken` if a build has both. [`JwtAuthenticator::new`] signs and verifies once, so
//! that a wrong build or a mismatched key pair fails at start and not at the first request.
//!
//! # Example
//!
//! ```
//! use mt_core::auth::Authenticator as _;
//! use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! use mt_core::id::PrincipalId;
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let previous = JwtKey::hs256("the secret of last month, 32 bytes")?;
//! let tokens = JwtAuthenticator::new(JwtConfig::new("acme", "acme", key).also_accept(previous))?;
//!
//! let ada = PrincipalId::generate();
//! let token = tokens.issue(ada, 3)?;
//! let principal = tokens.authenticate(&token.token).await?;
//! assert_eq!((principal.id(), principal.generation()), (ada, Some(3)));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```
//!
//! A token for one tenant:
//!
//! ```
//! # use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! # use mt_core::id::{PrincipalId, TenantId};
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let tokens = JwtAuthenticator::new(JwtConfig::new("acme", "acme", key).with_tenant_claim("org_id"))?;
//!
//! let (ada, org) = (PrincipalId::generate(), TenantId::generate());
//! let token = tokens.issue_bound(ada, 3, org)?;
//! assert_eq!(tokens.verify(&token.token)?.tenant(), Some(org));
//! // Without the claim it is valid in every tenant of Ada.
//! assert_eq!(tokens.verify(&tokens.issue(ada, 3)?.token)?.tenant(), None);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod claims;
mod config;
mod key;

use std::fmt;
use std::time::Duration;

use jsonwebtoken::Header;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use self::claims::Claims;
pub use self::config::{JwtConfig, JwtConfigError, MAX_LEEWAY};
pub use self::key::JwtKey;
use self::key::Verifier;
use super::{AuthError, Authenticator, Principal};
use crate::clock::{Clock, SystemClock};
use crate::id::{PrincipalId, TenantId};

/// Issues and verifies tokens.
///
/// See the [module docs](self) for an example and the reasons for refusal.
pub struct JwtAuthenticator<C = SystemClock> {
    issuer: String,
    audience: String,
    ttl: Duration,
    leeway: i64,
    tenant_claim: Option<String>,
    signing: JwtKey,
    verifiers: Vec<Verifier>,
    clock: C,
}

/// A token that was just issued. `Debug` does not show it.
pub struct AccessToken {
    /// The token, to be sent as `Authorization: Bearer …`.
    pub token: String,
    /// Its lifetime.
    pub expires_in: Duration,
}

/// The error when no token was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The first key of the configuration can only verify.
    #[error("the key can only verify tokens; configure a key that signs")]
    NoSigningKey,
    /// The configuration has no claim for the tenant.
    #[error("no claim is configured for the tenant; call `with_tenant_claim`")]
    NoTenantClaim,
    /// The crypto backend returned an error.
    #[error("the token could not be signed")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl JwtAuthenticator {
    /// Creates an authenticator with the system clock.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError`] when the configuration is unsafe or its keys do not work.
    pub fn new(config: JwtConfig) -> Result<Self, JwtConfigError> {
        Self::with_clock(config, SystemClock)
    }
}

impl<C: Clock> JwtAuthenticator<C> {
    /// Creates an authenticator that issues and verifies by `clock`.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError`] when the configuration is unsafe or its keys do not work.
    ///
    /// # Panics
    ///
    /// When the build has no crypto backend, or two; see the [module docs](self).
    pub fn with_clock(config: JwtConfig, clock: C) -> Result<Self, JwtConfigError> {
        let leeway = config.checked_leeway()?;
        let JwtConfig { issuer, audience, ttl, leeway: _, tenant_claim, signing, accepted } =
            config;
        let verifiers: Vec<_> = std::iter::once(&signing)
            .chain(&accepted)
            .map(|key| key.verifier(&issuer, &audience))
            .collect();
        let me = Self { issuer, audience, ttl, leeway, tenant_claim, signing, verifiers, clock };
        if me.signing.can_sign() {
            me.try_out()?;
        }
        Ok(me)
    }

    /// Issues a token for `principal` in the session `generation`.
    ///
    /// # Errors
    ///
    /// [`IssueError::NoSigningKey`] when the authenticator can only verify, and
    /// [`IssueError::Signing`] when the crypto backend fails.
    pub fn issue(
        &self,
        principal: PrincipalId,
        generation: i32,
    ) -> Result<AccessToken, IssueError> {
        self.sign(&self.claims_of(principal, generation))
    }

    /// Issues a token that is valid in `tenant` only. It does not check the membership, which is read when the token
    /// is used.
    ///
    /// # Errors
    ///
    /// Those of [`issue`](Self::issue), and [`IssueError::NoTenantClaim`] when the configuration names
    /// no claim for the tenant.
    pub fn issue_bound(
        &self,
        principal: PrincipalId,
        generation: i32,
        tenant: TenantId,
    ) -> Result<AccessToken, IssueError> {
        let claim = self.tenant_claim.as_deref().ok_or(IssueError::NoTenantClaim)?;
        let claims = self.claims_of(principal, generation).with_tenant(claim, tenant);
        self.sign(&claims.map_err(|error| IssueError::Signing(error.into()))?)
    }

    fn claims_of(&self, principal: PrincipalId, generation: i32) -> Claims {
        let now = self.clock.now().timestamp();
        Claims {
            sub: principal.to_string(),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: Some(now),
            exp: now.saturating_add_unsigned(self.ttl.as_secs()),
            nbf: None,
            jti: Some(Uuid::new_v4().to_string()),
            ver: generation,
            act: None,
        }
    }

    fn sign(&self, claims: &impl Serialize) -> Result<AccessToken, IssueError> {
        Ok(AccessToken { token: self.signing.sign(claims)?, expires_in: self.ttl })
    }

    /// Verifies a token and returns its principal.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for the reasons in the [module docs](self).
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
        check_header(&header)?;
        let (claims, tenant) = self.claims(token, &header)?;
        self.check_times(&claims)?;
        if claims.iss != self.issuer {
            return Err(refused("`iss` is not the issuer's name"));
        }
        let id = PrincipalId::parse(&claims.sub).ok_or_else(|| refused("`sub` is not a UUID"))?;
        let principal = Principal::in_generation(id, claims.ver);
        let principal = match &claims.act {
            Some(actor) => principal.acted_by(actor.account()?),
            None => principal,
        };
        Ok(tenant.map_or(principal, |tenant| principal.bound_to(tenant)))
    }

    /// Verifies a token and returns its claims and, if it has one, its tenant.
    fn claims(
        &self,
        token: &str,
        header: &Header,
    ) -> Result<(Claims, Option<TenantId>), AuthError> {
        match &self.tenant_claim {
            None => Ok((self.verified(token, header)?, None)),
            // The name of the claim is known at runtime only, and reading all claims costs more.
            Some(name) => claims::apart(self.verified(token, header)?, name),
        }
    }

    /// Tries each key that the header selects: one, or the current and the previous one during the rotation of
    /// secrets without ids.
    fn verified<T: DeserializeOwned>(&self, token: &str, header: &Header) -> Result<T, AuthError> {
        let mut last = refused("no key of that id and algorithm");
        for verifier in self.verifiers.iter().filter(|v| v.fits(header)) {
            match verifier.decode(token) {
                Ok(claims) => return Ok(claims),
                Err(error) => last = invalid(error),
            }
        }
        Err(last)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), AuthError> {
        let now = self.clock.now().timestamp();
        if now >= claims.exp.saturating_add(self.leeway) {
            return Err(refused("expired"));
        }
        if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(self.leeway)) {
            return Err(refused("not valid yet"));
        }
        Ok(())
    }

    /// Signs and verifies once, to check the keys.
    fn try_out(&self) -> Result<(), JwtConfigError> {
        let token = self.issue(PrincipalId::generate(), 0).map_err(JwtConfigError::Unusable)?.token;
        let header =
            jsonwebtoken::decode_header(&token).map_err(|_| JwtConfigError::MismatchedPair)?;
        self.claims(&token, &header).map(drop).map_err(|_| JwtConfigError::MismatchedPair)
    }
}

impl<C: Clock> Authenticator for JwtAuthenticator<C> {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        self.verify(credential)
    }
}

fn check_header(header: &Header) -> Result<(), AuthError> {
    if header.crit.is_some() {
        return Err(refused("`crit` names an unsupported extension"));
    }
    if header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(refused("`typ` is not `JWT`"));
    }
    Ok(())
}

pub(in crate::auth) fn refused(reason: &str) -> AuthError {
    AuthError::Invalid(reason.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn invalid(error: jsonwebtoken::errors::Error) -> AuthError {
    AuthError::Invalid(error.to_string())
}

impl<C> fmt::Debug for JwtAuthenticator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("ttl", &self.ttl)
            .field("keys", &self.verifiers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}
