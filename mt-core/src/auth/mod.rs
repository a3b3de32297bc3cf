//! Authentication: from a credential to a principal.
//!
//! An [`Authenticator`] turns a credential into a [`Principal`]. It does not decide what the principal may do: roles
//! are not in tokens, but read in the transaction that uses them.
//!
//! A credential may be limited to one tenant: an API key, or a token that is [bound](Principal::bound_to) to a tenant,
//! has no access to any other.

#[cfg(feature = "postgres")]
pub(crate) mod api_key;
#[cfg(any(feature = "openid", feature = "postgres"))]
pub(crate) mod identity_name;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "openid")]
pub mod openid;
mod principal;

use std::future::Future;

pub use self::principal::{Principal, PrincipalKind};

/// Turns a bearer credential into a principal.
///
/// Implemented by `jwt::JwtAuthenticator` (feature `jwt`) for tokens of this service, by
/// `openid::OpenIdAuthenticator` (feature `openid`) for those of identity providers, and by `pg::api_keys::ApiKeys` (feature
/// `postgres`) for API keys; implement it for sessions or anything else.
///
/// ```
/// use std::collections::HashMap;
/// use mt_core::auth::{AuthError, Authenticator, Principal};
/// use mt_core::id::PrincipalId;
///
/// /// Sessions, by the hash under which they are stored.
/// struct Sessions(HashMap<[u8; 32], PrincipalId>);
///
/// # fn sha256(_: &str) -> [u8; 32] { [0; 32] }
/// impl Authenticator for Sessions {
///     async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
///         let user = self
///             .0
///             .get(&sha256(token))
///             .ok_or_else(|| AuthError::Invalid("unknown session".to_owned()))?;
///         Ok(Principal::new(*user))
///     }
/// }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Returns the principal of the credential.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for a credential of no principal, [`AuthError::Unavailable`] when it cannot be checked
    /// at present.
    fn authenticate(
        &self,
        credential: &str,
    ) -> impl Future<Output = Result<Principal, AuthError>> + Send;
}

/// The error of an authentication.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The credential is malformed, expired, revoked or forged. The text is for logs only; do not show it to clients.
    #[error("credential refused: {0}")]
    Invalid(String),
    /// The credential could not be checked, for instance because a key server is down. Respond with 503.
    #[error("credential could not be checked")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<A: Authenticator> Authenticator for std::sync::Arc<A> {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        A::authenticate(self, credential).await
    }
}
