//! Finds out who is calling, from `Authorization: Bearer …`.
//!
//! [`Authenticate`] asks an [`Authenticator`] and leaves a
//! [`Principal`](mt_core::auth::Principal) in the request's extensions.
//!
//! # When it refuses
//!
//! * 401 `unauthenticated`: no `Authorization` header, or another scheme;
//! * the same with `error="invalid_token"`: a credential that the authenticator refuses, that is
//!   not one word, or two `Authorization` headers, of which the wrong one might be believed;
//! * 503 `unavailable`: the credential cannot be checked at present.
//!
//! The scheme is case-insensitive (RFC 9110 §11.1). A token in the query is not looked at: URLs end
//! up in logs (RFC 6750 §5.3).
//!
//! With [`optional`](Authenticate::optional) a request without the header passes, without a
//! principal. A bad credential is refused there too: a client that thinks itself signed in should
//! learn that it is not.
//!
//! # Deployment
//!
//! A refused credential costs what the authenticator costs, so put a rate limit by client address
//! in front. The proxy in front of the service must not drop or fold `Authorization` headers.
//!
//! # Example
//!
//! ```
//! use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::layer::GuardLayer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let tokens = JwtAuthenticator::new(JwtConfig::new("acme", "acme", key))?;
//! let layer = GuardLayer::new(Authenticate::new(tokens));
//! # Ok(())
//! # }
//! ```

use std::error::Error as _;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mt_core::auth::{AuthError, Authenticator};

use crate::guard::{Guard, Pass, View};
use crate::problem::Problem;

/// Guard that finds out who is calling.
///
/// See the [module docs](self) for when it refuses and an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct Authenticate<A> {
    authenticator: A,
    optional: bool,
}

impl<A: Authenticator> Authenticate<A> {
    /// Refuses a request without a credential.
    pub fn new(authenticator: A) -> Self {
        Self { authenticator, optional: false }
    }

    /// Lets a request without a credential pass, without a principal.
    pub fn optional(authenticator: A) -> Self {
        Self { authenticator, optional: true }
    }
}

impl<A: Authenticator> Guard for Authenticate<A> {
    async fn check<'a>(&'a self, view: View<'a>) -> Result<Pass, Problem> {
        let Some(token) = bearer(view.headers)? else {
            return if self.optional { Ok(Pass::new()) } else { Err(Problem::UNAUTHENTICATED) };
        };
        let principal = self.authenticator.authenticate(token).await.map_err(refusal)?;
        view.extensions.insert(principal);
        Ok(Pass::new())
    }
}

/// The token of the one `Authorization` header, or none when there is no such header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid_token());
    }
    let text = value.to_str().map_err(|_| Problem::invalid_token())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::UNAUTHENTICATED);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || token.contains([' ', '\t', ',']) {
        return Err(Problem::invalid_token());
    }
    Ok(Some(token))
}

fn refusal(error: AuthError) -> Problem {
    match error {
        AuthError::Invalid(reason) => {
            tracing::debug!(reason, "credential refused");
            Problem::invalid_token()
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
