//! Authenticates the caller.
//!
//! [`Authenticate`] takes the credential that a [`CredentialSource`] reads from the request, hands it
//! to an [`Authenticator`], and leaves a [`Principal`] in the request's
//! extensions. Unless told otherwise the credential is a bearer token (RFC 6750): the scheme in any
//! case, one header, one token, and nowhere but in the header.
//!
//! | source | reads |
//! | --- | --- |
//! | [`Bearer`] | `Authorization: Bearer …` |
//! | [`KeyHeader`] | an API key from a header of its own |
//! | [`SessionCookie`] | a session from a cookie |
//!
//! # When it refuses
//!
//! * 401 `unauthenticated`: no credential, unless it is [optional](Authenticate::optional), or an
//!   `Authorization` of another scheme;
//! * 401 `unauthenticated` with `error="invalid_token"` (RFC 6750 §3.1): a malformed credential, two
//!   of them, or one that the authenticator does not accept. An optional credential that is there has to
//!   be good, too: a client that thinks itself signed in should learn that it is not;
//! * 503 `unavailable`: the authenticator could not check it at present.
//!
//! Every 401 carries the source's challenge in `WWW-Authenticate` (RFC 9110 §15.5.2).
//!
//! # Several kinds of credential
//!
//! Put several guards in a row, all but the last of them optional: a request that already has a principal
//! passes the next one without a credential of its kind. A request with credentials of two kinds is
//! refused, because which of them is meant is not clear. Put a source for another scheme of `Authorization`
//! before [`Bearer`].
//!
//! # Deployment
//!
//! A refused credential costs what the authenticator costs, so put a rate limit by client address in
//! front. The proxy in front of the service must not drop or fold the header that is read. Cookies are
//! sent by browsers with requests of any page: with [`SessionCookie`], look at `Origin` and set
//! `SameSite`.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! use mt_core::auth::{AuthError, Authenticator, Principal};
//! use mt_tower::authenticate::{Authenticate, KeyHeader, SessionCookie};
//! use mt_tower::layer::GuardLayer;
//!
//! struct ApiKeys;
//!
//! impl Authenticator for ApiKeys {
//!     async fn authenticate(&self, key: &str) -> Result<Principal, AuthError> {
//!         # let _ = key;
//!         Err(AuthError::Invalid("no key is known yet".to_owned()))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let tokens = Arc::new(JwtAuthenticator::new(JwtConfig::new("acme", "acme", key))?);
//! let token_or_key = GuardLayer::new((
//!     Authenticate::optional(Arc::clone(&tokens)),
//!     Authenticate::new(ApiKeys).from(KeyHeader::new("x-api-key")),
//! ));
//! // The token in a cookie instead, for browsers.
//! let session = Authenticate::new(tokens).from(SessionCookie::new("__Host-session"));
//! # Ok(())
//! # }
//! ```

mod source;

use std::error::Error as _;

use mt_core::auth::{AuthError, Authenticator, Principal};

pub use self::source::{Bearer, CredentialSource, KeyHeader, NoCredential, SessionCookie};
use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;
use crate::trace;

/// Guard that authenticates the caller.
///
/// See the [module docs](self) for when it refuses and an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct Authenticate<A, S = Bearer> {
    authenticator: A,
    source: S,
    optional: bool,
}

impl<A: Authenticator> Authenticate<A> {
    /// Refuses a request without a credential.
    pub fn new(authenticator: A) -> Self {
        Self { authenticator, source: Bearer, optional: false }
    }

    /// Lets a request without a credential pass, without a principal.
    pub fn optional(authenticator: A) -> Self {
        Self { optional: true, ..Self::new(authenticator) }
    }
}

impl<A: Authenticator, S: CredentialSource> Authenticate<A, S> {
    /// Reads the credential from `source` instead.
    pub fn from<T: CredentialSource>(self, source: T) -> Authenticate<A, T> {
        Authenticate { authenticator: self.authenticator, source, optional: self.optional }
    }

    fn refusal(&self, error: AuthError) -> Problem {
        match error {
            AuthError::Invalid(reason) => {
                tracing::debug!(reason, "credential refused");
                Problem::unauthenticated(self.source.refused())
            }
            AuthError::Unavailable(cause) => {
                tracing::warn!(cause = &*cause as &dyn std::error::Error, "credential not checked");
                Problem::unavailable()
            }
            // A reason newer than this crate still refuses.
            other => {
                tracing::error!(error = %other, cause = other.source(), "credential not checked");
                Problem::INTERNAL
            }
        }
    }
}

impl<A: Authenticator, S: CredentialSource> Guard for Authenticate<A, S> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let is_known = request.extensions.get::<Principal>().is_some();
        let refuse = |challenge| Err(Problem::unauthenticated(challenge));
        let credential = match self.source.credential(request.headers) {
            Ok(Some(credential)) if !is_known => credential,
            Ok(None) if self.optional || is_known => return Ok(()),
            // The guard that found the principal has read it.
            Err(NoCredential::OtherScheme) if is_known => return Ok(()),
            Ok(None) | Err(NoCredential::OtherScheme) => return refuse(self.source.missing()),
            Ok(Some(_)) | Err(NoCredential::Malformed) => return refuse(self.source.refused()),
        };
        let principal = self.authenticator.authenticate(credential).await;
        let principal = principal.map_err(|error| self.refusal(error))?;
        trace::record_principal(request.extensions, principal.id());
        request.extensions.insert(principal);
        Ok(())
    }
}
