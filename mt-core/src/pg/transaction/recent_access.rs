//! The last known access of members, for what is chosen before a transaction can decide.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::access::{Access, AccessModel, Facts};
use crate::auth::Principal;
use crate::id::{ApiKeyId, PrincipalId, ServiceAccountId, TenantId};
use crate::shares::Requester;

/// How many memberships are remembered, of some 100 bytes each. The least used go first.
const CAPACITY: usize = 10_000;

/// What the last decision on each membership found. Clones share it.
///
/// A seat of the tenant's share is taken before the transaction that it is for can decide. So a request takes one only if
/// the last decision found a member, and one of the principal's own share otherwise: a stranger uses nothing of the
/// tenant's. Every decision brings an entry up to date, and nothing else rests on it.
pub(in crate::pg) struct RecentAccess<M: AccessModel>(Arc<Cache<Key, Facts<M>>>);

/// A tenant, and the credential by what its facts depend on.
type Key = (TenantId, PrincipalId, Option<ApiKeyId>, Option<ServiceAccountId>);

fn key(principal: Principal, tenant: TenantId) -> Key {
    (tenant, principal.id(), principal.key(), principal.actor())
}

impl<M: AccessModel> RecentAccess<M> {
    pub(in crate::pg) fn new() -> Self {
        Self(Arc::new(Cache::new(CAPACITY)))
    }

    pub(in crate::pg) fn get(&self, principal: Principal, tenant: TenantId) -> Option<Access<M>> {
        if !principal.may_act_in(tenant) {
            return None;
        }
        let facts = self.0.get(&key(principal, tenant))?;
        Some(Access::assertion(tenant, principal, facts))
    }

    pub(in crate::pg) fn learn(&self, access: &Access<M>) {
        self.0.insert(key(access.principal(), access.tenant()), *access.facts());
    }

    pub(in crate::pg) fn forget(&self, principal: Principal, tenant: TenantId) {
        self.0.remove(&key(principal, tenant));
    }

    /// The requester whose share a request of `principal` in `tenant` uses.
    pub(in crate::pg) fn requester(&self, principal: Principal, tenant: TenantId) -> Requester {
        match self.get(principal, tenant) {
            Some(access) => Requester::member(&access),
            None => Requester::Principal(principal.id()),
        }
    }
}

// Not derived: a derive would ask the same of `M`.
impl<M: AccessModel> Clone for RecentAccess<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
