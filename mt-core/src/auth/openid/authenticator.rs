//! From the token of a provider to a principal.

use super::verifier::issuer_of;
use super::{OpenIdConfigError, OpenIdVerifier, VerifiedToken};
use crate::auth::jwt::refused;
use crate::auth::{AuthError, Authenticator, Principal};

/// What happens when a subject is seen that is not linked to a user.
///
/// An issuer is trusted with every user whose address it may claim. Create users only for an issuer that verifies
/// addresses itself, and link only for one that is authoritative for them:
///
/// * With [`LinkOrCreateUser`](Self::LinkOrCreateUser), an issuer that calls an address verified signs in as the user who
///   has it, whatever that user signed up with. An issuer whose administrators set addresses freely, such as an
///   identity provider of a customer, can take over every account.
/// * With [`CreateUser`](Self::CreateUser), it can register addresses that are not in use yet. A user who signs in later with
///   such an address by a sign-in link shares the account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FirstSight {
    /// The token is refused. The application links identities itself.
    #[default]
    Refuse,
    /// A user is created by the verified e-mail address of the token and linked to the subject. The token is refused if
    /// it has none, or if a user with that address exists.
    CreateUser,
    /// The same, but a user with that address is linked to the subject.
    LinkOrCreateUser,
}

/// Finds the principals of verified tokens.
///
/// `pg::Identities` (feature `postgres`) keeps them in the table `mt.identities`. Implement the trait for another
/// store:
///
/// ```
/// use std::collections::HashMap;
///
/// use mt_core::auth::openid::{FirstSight, IdentityStore, VerifiedToken};
/// use mt_core::auth::{AuthError, Principal};
/// use mt_core::id::PrincipalId;
///
/// /// Principals by issuer and subject.
/// struct InMemory(HashMap<(String, String), PrincipalId>);
///
/// impl IdentityStore for InMemory {
///     async fn principal(
///         &self,
///         token: &VerifiedToken,
///         _: FirstSight,
///     ) -> Result<Principal, AuthError> {
///         let identity = (token.issuer().to_owned(), token.subject().to_owned());
///         let known = self.0.get(&identity).copied().map(Principal::new);
///         known.ok_or_else(|| AuthError::Invalid("unknown identity".to_owned()))
///     }
/// }
/// ```
pub trait IdentityStore: Send + Sync + 'static {
    /// Returns the principal of the token's issuer and subject. A subject that is not linked is treated as `first_sight`
    /// says.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for an unknown identity, [`AuthError::Unavailable`] when the store cannot be asked.
    fn principal(
        &self,
        token: &VerifiedToken,
        first_sight: FirstSight,
    ) -> impl Future<Output = Result<Principal, AuthError>> + Send;
}

/// Authenticates callers by tokens of identity providers.
///
/// A token is verified with the keys of the issuer that it names, and with no others. See the [module docs](super) for
/// an example.
#[derive(Clone, Debug)]
pub struct OpenIdAuthenticator<S> {
    store: S,
    issuers: Vec<(OpenIdVerifier, FirstSight)>,
}

impl<S: IdentityStore> OpenIdAuthenticator<S> {
    /// Creates an authenticator that accepts no issuer yet.
    #[must_use]
    pub const fn new(store: S) -> Self {
        Self { store, issuers: Vec::new() }
    }

    /// Accepts tokens that `verifier` verifies. Subjects that are not linked are treated as `first_sight` says.
    ///
    /// # Errors
    ///
    /// [`OpenIdConfigError::DuplicateIssuer`] when its issuer is accepted already.
    pub fn accept(
        mut self,
        verifier: OpenIdVerifier,
        first_sight: FirstSight,
    ) -> Result<Self, OpenIdConfigError> {
        if self.issuers.iter().any(|(accepted, _)| accepted.issuer() == verifier.issuer()) {
            return Err(OpenIdConfigError::DuplicateIssuer(verifier.issuer().to_owned()));
        }
        self.issuers.push((verifier, first_sight));
        Ok(self)
    }
}

impl<S: IdentityStore> Authenticator for OpenIdAuthenticator<S> {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        let issuer = issuer_of(credential).ok_or_else(|| refused("not a token with an issuer"))?;
        let accepted = self.issuers.iter().find(|(verifier, _)| verifier.issuer() == issuer);
        let (verifier, first_sight) =
            accepted.ok_or_else(|| refused("`iss` is not an accepted issuer"))?;
        let token = verifier.verify(credential).await?;
        let principal = self.store.principal(&token, *first_sight).await?;
        let principal = principal.issued_at(token.issued_at());
        Ok(token.actor().map_or(principal, |account| principal.acted_by(account)))
    }
}
