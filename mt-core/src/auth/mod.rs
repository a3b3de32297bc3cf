//! Who is calling.
//!
//! An [`Authenticator`] turns a credential into a [`Principal`] and says nothing about what the
//! principal may do: roles are never in a token, they are read in the transaction that uses them.
//!
//! What a credential can say is where it is good at all: an API key of one tenant, or a token issued for
//! one, is [bound](Principal::bound_to) to that tenant, and a stranger's in every other.

#[cfg(feature = "jwt")]
pub mod jwt;
mod principal;

use std::future::Future;

pub use self::principal::Principal;

/// Turns a bearer credential into a principal.
///
/// Implemented by `jwt::JwtAuthenticator` (feature `jwt`); implement it for API keys, sessions or
/// anything else.
///
/// ```
/// use std::collections::HashMap;
/// use mt_core::auth::{AuthError, Authenticator, Principal};
/// use mt_core::id::{PrincipalId, TenantId};
///
/// /// API keys, each of a machine in one tenant, by the hash under which they are stored.
/// struct ApiKeys(HashMap<[u8; 32], (PrincipalId, TenantId)>);
///
/// # fn sha256(_: &str) -> [u8; 32] { [0; 32] }
/// impl Authenticator for ApiKeys {
///     async fn authenticate(&self, key: &str) -> Result<Principal, AuthError> {
///         let (machine, tenant) = self
///             .0
///             .get(&sha256(key))
///             .ok_or_else(|| AuthError::Invalid("unknown key".to_owned()))?;
///         Ok(Principal::new(*machine).bound_to(*tenant))
///     }
/// }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Promises that [`authenticate`](Self::authenticate) is done when it is first polled, which saves its caller an
    /// allocation.
    const NEVER_WAITS: bool = false;

    /// Finds out whose credential this is.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for a credential that is nobody's, [`AuthError::Unavailable`] when
    /// that cannot be found out at present.
    fn authenticate(
        &self,
        credential: &str,
    ) -> impl Future<Output = Result<Principal, AuthError>> + Send;
}

/// Why there is no principal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The credential is malformed, expired, revoked or forged. The text is for logs only; a
    /// client is not told which.
    #[error("credential refused: {0}")]
    Invalid(String),
    /// The credential could not be checked.
    #[error("credential could not be checked")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<A: Authenticator> Authenticator for std::sync::Arc<A> {
    const NEVER_WAITS: bool = A::NEVER_WAITS;

    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        A::authenticate(self, credential).await
    }
}
