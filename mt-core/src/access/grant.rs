//! Proof that a check was made.

use std::fmt;
use std::marker::PhantomData;

use super::{Access, Implies, Permission};
use crate::auth::Principal;
use crate::id::TenantId;

/// Proof that permission `P` was checked, for one principal in one tenant.
///
/// It has no public constructor: it comes from [`Access::authorize`]. It says that the check succeeded on facts of that
/// moment. Functions whose data is not behind a transaction ask for one in their signature. A transaction takes it as
/// the [`AccessRequest`](super::AccessRequest) that it was, and checks the permission again.
#[must_use = "a grant is proof of a check"]
pub struct Grant<P: Permission> {
    access: Access<P::Model>,
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission> Grant<P> {
    // INVARIANT: called by `Access::authorize` alone, after its check has passed.
    pub(super) const fn new(access: Access<P::Model>) -> Self {
        Self { access, permission: PhantomData }
    }

    /// Returns the grant of a permission that `P` covers, to hand on to code that needs no more.
    ///
    /// ```
    /// use mt_core::access::{Grant, Implies, Permission};
    ///
    /// fn summary<Read: Permission>(_: Grant<Read>) {}
    ///
    /// fn rewrite<Write: Implies<Read>, Read: Permission>(grant: Grant<Write>) {
    ///     summary(grant.narrow::<Read>());
    /// }
    /// ```
    pub const fn narrow<Q: Permission>(self) -> Grant<Q>
    where
        P: Implies<Q>,
    {
        const {
            assert!(
                crate::model::covers::<P, Q>(),
                "a permission that is exempt from payment, or reads, does not cover one that is not"
            );
        }
        Grant::new(self.access)
    }

    /// The facts that the check was made on.
    #[must_use]
    pub const fn access(&self) -> &Access<P::Model> {
        &self.access
    }

    /// The tenant that the check was made in.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.access.tenant()
    }

    /// The principal that the check was made for.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.access.principal()
    }
}

// Not derived: a derive would ask for `P: Clone`, and permissions are bare markers.
impl<P: Permission> Clone for Grant<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Permission> Copy for Grant<P> {}

impl<P: Permission> fmt::Debug for Grant<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("permission", &P::KEY)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
