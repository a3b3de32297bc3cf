//! Opening transactions in one tenant.

use std::fmt;

use super::authority::Authority;
use super::begin::Begin;
use super::tenant_read::TenantRead;
use crate::access::{
    Access, AccessCache, AccessError, AccessModel, AccessSource, Grant, Permission,
};
use crate::auth::Principal;
use crate::billing::StandingPolicy;
use crate::id::TenantId;
use crate::pg::connection::pools::Pools;
use crate::shares::Shares;

/// Opens transactions that see one tenant, each for a [`Grant`] ([`Database::tenants`](crate::pg::Database::tenants)).
///
/// Opening one decides again, on the facts as they stand *in that transaction*: a grant from before a
/// demotion, a removal, a sign-out, a suspension or a lapse opens nothing, on any replica, without
/// another round trip. So layers may refuse early on facts that are a little old, and what is handed
/// out here was true here.
///
/// It is an [`AccessSource`] for such layers too.
pub struct Tenants<M: AccessModel> {
    pub(in crate::pg) authority: Authority<M>,
}

impl<M: AccessModel> Tenants<M> {
    pub(in crate::pg) fn new(pools: Pools, standing: StandingPolicy) -> Self {
        Self { authority: Authority::new(pools, standing) }
    }

    /// Answers [`AccessSource::access`] from `cache` where it can, which saves layers a round trip.
    ///
    /// Each transaction that is opened, or refused, updates the cache with the facts of that moment. Changes by others are brought by
    /// [`AccessChanges`](crate::pg::AccessChanges), or show when an entry has grown too old.
    #[must_use]
    pub fn with_access_cache(mut self, cache: AccessCache<M>) -> Self {
        self.authority.remember_in(cache);
        self
    }

    /// The shares that tenants and principals have of the connections.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        self.authority.pools.shares()
    }

    /// Opens a transaction that sees the grant's tenant and no other, and checks the permission again in it.
    ///
    /// Await what it returns; [`Begin`] has options. A transaction that reads is `read only` in Postgres. One that writes
    /// holds the caller's membership `for share`: once a demotion or removal has returned, no write under the old role can
    /// commit.
    ///
    /// # Errors
    ///
    /// [`BeginError`](crate::pg::BeginError); nothing is left open then.
    pub const fn begin<P: Permission<Model = M>>(&self, grant: Grant<P>) -> Begin<'_, P> {
        Begin::new(&self.authority, grant)
    }

    /// A place to run one query in a transaction of its own, which checks the permission again. See [`TenantRead`].
    pub fn read<P: Permission<Model = M>>(&self, grant: Grant<P>) -> TenantRead<'_, P> {
        TenantRead::new(&self.authority, grant)
    }

    /// Loads what `principal` may do in `tenant`, in one round trip and past any cache; in none for a
    /// credential that is bound to another tenant.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn load_access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        self.authority.load_access(principal, tenant).await
    }
}

impl<M: AccessModel> AccessSource<M> for Tenants<M> {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        match self.authority.remembered(principal, tenant) {
            Some(access) => Ok(access),
            None => self.load_access(principal, tenant).await,
        }
    }

    async fn fresh(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        self.load_access(principal, tenant).await
    }
}

impl<M: AccessModel> Clone for Tenants<M> {
    fn clone(&self) -> Self {
        Self { authority: self.authority.clone() }
    }
}

impl<M: AccessModel> fmt::Debug for Tenants<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").finish_non_exhaustive()
    }
}
