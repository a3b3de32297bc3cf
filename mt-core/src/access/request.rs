//! A request for access, on which nothing is decided yet.

use std::fmt;
use std::marker::PhantomData;

use super::{Grant, Permission};
use crate::auth::Principal;
use crate::id::TenantId;

/// A principal's request to use permission `P` in a tenant.
///
/// Nothing is decided yet. The transaction that is opened for it reads the facts and decides, in its first message
/// (`pg::Tenants::begin`, `pg::Tenants::read`). So a request needs no look at the membership beforehand.
///
/// ```
/// use mt_core::access::{AccessRequest, Permission};
/// use mt_core::auth::Principal;
/// use mt_core::id::TenantId;
///
/// fn of_a_request<P: Permission>(caller: Principal, tenant: TenantId) -> AccessRequest<P> {
///     AccessRequest::new(caller, tenant)
/// }
/// ```
#[must_use = "open a transaction with it"]
pub struct AccessRequest<P> {
    principal: Principal,
    tenant: TenantId,
    permission: PhantomData<fn() -> P>,
}

impl<P> AccessRequest<P> {
    /// Creates the request of `principal` for access to `tenant`.
    pub const fn new(principal: Principal, tenant: TenantId) -> Self {
        Self { principal, tenant, permission: PhantomData }
    }

    /// The tenant that the principal asks to act in.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The principal that asks.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.principal
    }
}

/// A transaction checks the permission again, so what a grant says is not carried over.
impl<P: Permission> From<Grant<P>> for AccessRequest<P> {
    fn from(grant: Grant<P>) -> Self {
        Self::new(grant.principal(), grant.tenant())
    }
}

// Not derived: a derive would ask for `P: Clone`, and permissions are bare markers.
impl<P> Clone for AccessRequest<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for AccessRequest<P> {}

impl<P: Permission> fmt::Debug for AccessRequest<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRequest")
            .field("permission", &P::KEY)
            .field("tenant", &self.tenant)
            .field("principal", &self.principal)
            .finish()
    }
}
