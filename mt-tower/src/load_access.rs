//! Loads what the caller may do in the tenant that the request is for.
//!
//! [`LoadAccess`] asks an [`AccessSource`] and leaves an [`Access`](mt_core::access::Access) in the request's
//! extensions, for [`Require`](crate::require::Require),
//! [`BillingGate`](crate::billing_gate::BillingGate) and the handler.
//!
//! # When it refuses
//!
//! * 404 `not-found`: not a member, or no such tenant; the answers do not differ;
//! * 401 `unauthenticated` with `error="invalid_token"`: the credential was signed out;
//! * 503 `unavailable`: the store does not answer at present;
//! * 500 `internal`: the source failed, or no principal or no tenant was found out before. The
//!   cause is logged here, and not again.
//!
//! # Deployment
//!
//! Access is a snapshot that grows old while the request runs. It is good for refusing early; the
//! transaction that acts reads the facts again. A source that caches makes this cheaper and does
//! not make it less safe.
//!
//! # Example
//!
//! ```
//! use mt_core::access::{AccessModel, AccessSource};
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::load_access::LoadAccess;
//!
//! fn layer<M: AccessModel, S: AccessSource<M>>(source: S) -> GuardLayer<LoadAccess<M, S>> {
//!     GuardLayer::new(LoadAccess::new(source))
//! }
//! ```

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{AccessError, AccessModel, AccessSource};
use mt_core::auth::Principal;

use crate::guard::{Guard, Pass, View};
use crate::problem::Problem;
use crate::resolve_tenant::RequestedTenant;

/// Guard that loads the caller's access.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct LoadAccess<M, S> {
    source: S,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel, S: AccessSource<M>> LoadAccess<M, S> {
    /// Loads from `source`.
    pub const fn new(source: S) -> Self {
        Self { source, model: PhantomData }
    }
}

impl<M: AccessModel, S: AccessSource<M>> Guard for LoadAccess<M, S> {
    async fn check<'a>(&'a self, view: View<'a>) -> Result<Pass, Problem> {
        let principal = *view.need::<Principal>()?;
        let RequestedTenant(tenant) = *view.need()?;
        match self.source.access(principal, tenant).await {
            Ok(access) => {
                view.extensions.insert(access);
                Ok(Pass::new())
            }
            Err(error) => {
                log(&error);
                Err(error.into())
            }
        }
    }
}

fn log(error: &AccessError) {
    let cause = error.source();
    match error {
        AccessError::NotAMember | AccessError::SignedOut => tracing::debug!(%error),
        AccessError::Unavailable(_) => tracing::warn!(cause, "{error}"),
        _ => tracing::error!(cause, "{error}"),
    }
}

impl<M, S: fmt::Debug> fmt::Debug for LoadAccess<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadAccess").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<M, S: Clone> Clone for LoadAccess<M, S> {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), model: PhantomData }
    }
}
