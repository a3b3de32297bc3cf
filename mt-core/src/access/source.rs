//! Where access comes from.

use std::error::Error;
use std::future::Future;

use super::{Access, AccessModel};
use crate::auth::Principal;
use crate::id::TenantId;

/// Loads what one principal may do in one tenant.
///
/// `pg::Tenants` is one; an embedder whose memberships live elsewhere writes another. To a principal
/// that [may not act in](Principal::may_act_in) the tenant it answers [`AccessError::NotAMember`], whatever
/// memberships there are.
pub trait AccessSource<M: AccessModel>: Send + Sync + 'static {
    /// Loads the facts of a membership as they stand now.
    ///
    /// # Errors
    ///
    /// See [`AccessError`].
    fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> impl Future<Output = Result<Access<M>, AccessError>> + Send;

    /// Returns what the last decision on this membership in this process found, without I/O. It may be out of date by
    /// any length of time, so it chooses a rate limit or a share of the connections and decides nothing else.
    ///
    /// By default nothing is remembered.
    fn recent(&self, principal: Principal, tenant: TenantId) -> Option<Access<M>> {
        let _ = (principal, tenant);
        None
    }
}

/// Why there is no access.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Something broke on this side.
    #[error("access could not be loaded")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
    /// No membership, no such tenant, or a credential that is bound to another: the answer does
    /// not tell which.
    #[error("not a member")]
    NotAMember,
    /// The credential was signed out, or its user is gone.
    #[error("signed out")]
    SignedOut,
    /// The store does not answer at present.
    #[error("access cannot be loaded at present")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl<M: AccessModel, S: AccessSource<M>> AccessSource<M> for std::sync::Arc<S> {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        S::access(self, principal, tenant).await
    }

    fn recent(&self, principal: Principal, tenant: TenantId) -> Option<Access<M>> {
        S::recent(self, principal, tenant)
    }
}
