//! Requires one permission of every request.
//!
//! [`Require`] checks it against the [`Access`] that [`LoadAccess`](crate::load_access::LoadAccess) left in
//! the request's extensions.
//!
//! # When it refuses
//!
//! * 403 `forbidden`: the role does not carry the permission;
//! * 403 `tenant-suspended`: an operator has stopped the tenant;
//! * 402 `billing-required`: plan or payment does not cover the permission;
//! * 500 `internal`: no access was loaded before.
//!
//! # Deployment
//!
//! For routes whose data is not behind `Tenants`, such as a call to another service or a file. On other routes the
//! transaction makes the same check.
//!
//! # Example
//!
//! ```
//! use mt_core::access::Permission;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::require::Require;
//!
//! fn layer<P: Permission>() -> GuardLayer<Require<P>> {
//!     GuardLayer::new(Require::new())
//! }
//! ```

use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{Access, Permission};

use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;

/// Guard that requires permission `P`.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct Require<P> {
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission> Require<P> {
    /// Requires `P`.
    pub const fn new() -> Self {
        Self { permission: PhantomData }
    }
}

impl<P: Permission> Guard for Require<P> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        request.require::<Access<P::Model>>()?.check::<P>()?;
        Ok(())
    }
}

impl<P: Permission> Default for Require<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Clone for Require<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Require<P> {}

impl<P: Permission> fmt::Debug for Require<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&P::KEY).finish()
    }
}
