//! API keys of shops, and the bugs of what authenticates by them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_core::pg::api_keys::ApiKeys;
use mt_core::pg::{System, SystemReason};
use mt_core::token::TokenHasher;

use crate::app::App;
use crate::bug::Bug;

/// What keys begin with.
pub const KEY_PREFIX: &str = "helpdesk";

const FIND_OWNER: SystemReason = SystemReason::anonymous("find the owner of a shop");

/// Makes the hashes of keys.
#[must_use]
pub fn key_hasher() -> TokenHasher {
    TokenHasher::new(b"the secret of the planted bugs, 32 bytes")
}

/// Authenticates by API keys, and by tokens.
pub(crate) struct Credentials<A> {
    keys: ApiKeys,
    tokens: A,
    system: System,
    bug: Option<Bug>,
    /// What the bugs remember of keys.
    seen: Arc<Mutex<HashMap<String, Principal>>>,
}

impl<A: Authenticator> Credentials<A> {
    pub(crate) fn new(app: &App, tokens: A) -> Self {
        let keys = app.database.api_keys(KEY_PREFIX, key_hasher());
        let bug = [Bug::KeyIsASession, Bug::KeyRemembered, Bug::KeyActsAsTheOwner];
        let bug = bug.into_iter().find(|bug| app.has(*bug));
        Self { keys, tokens, system: app.database.system(), bug, seen: Arc::default() }
    }

    /// The principal of a key, found once.
    async fn first_seen(&self, credential: &str) -> Result<Principal, AuthError> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen().get(credential).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let principal = self.keys.authenticate(credential).await?;
        seen().insert(credential.to_owned(), principal);
        Ok(principal)
    }

    async fn owner_of(&self, key: Principal) -> Result<Principal, AuthError> {
        let unavailable = |error: mt_core::pg::PgError| AuthError::Unavailable(error.into());
        let tenant = key.tenant().ok_or_else(|| AuthError::Invalid("not a key".to_owned()))?;
        let mut tx = self.system.begin(FIND_OWNER).await.map_err(unavailable)?;
        let owner = sqlx::query_scalar(
            "select principal_id from mt.memberships where tenant_id = $1 and is_owner limit 1",
        )
        .bind(tenant.as_uuid())
        .fetch_one(tx.conn())
        .await
        .map_err(|error| AuthError::Unavailable(error.into()))?;
        tx.commit().await.map_err(unavailable)?;
        Ok(Principal::new(PrincipalId::from_uuid(owner)).bound_to(tenant))
    }
}

impl<A: Authenticator> Authenticator for Credentials<A> {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        if !credential.starts_with(KEY_PREFIX) {
            return self.tokens.authenticate(credential).await;
        }
        match self.bug {
            None => self.keys.authenticate(credential).await,
            Some(Bug::KeyIsASession) => {
                let principal = self.keys.authenticate(credential).await?;
                Ok(Principal::new(principal.id()))
            }
            Some(Bug::KeyRemembered) => {
                let principal = self.first_seen(credential).await?;
                let bound = Principal::new(principal.id());
                Ok(principal.tenant().map_or(bound, |tenant| bound.bound_to(tenant)))
            }
            Some(_) => self.owner_of(self.first_seen(credential).await?).await,
        }
    }
}
