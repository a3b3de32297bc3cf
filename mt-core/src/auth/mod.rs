//! Who is calling.
//!
//! An [`Authenticator`] turns a credential into a [`Principal`] and says nothing about what the
//! principal may do: roles are never in a token, they are read in the transaction that uses them.

#[cfg(feature = "jwt")]
pub mod jwt;
mod principal;

use std::future::Future;

pub use self::principal::Principal;

/// Turns a bearer credential into a principal.
///
/// Implemented by `jwt::JwtAuthenticator` (feature `jwt`); implement it for API keys, sessions or
/// anything else.
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
