//! Loads what the caller may do in the tenant that the request is for.
//!
//! [`LoadAccess`] asks an [`AccessSource`] and leaves an [`Access`] in the request's
//! extensions, for [`Require`](crate::require::Require),
//! [`BillingGate`](crate::billing_gate::BillingGate) and the handler.
//!
//! # When it refuses
//!
//! * 404 `not-found`: not a member, no such tenant, or a credential that is bound to another one; the
//!   answers do not differ;
//! * 401 `unauthenticated` with `error="invalid_token"`: the credential was signed out;
//! * 503 `unavailable`: the store does not answer at present;
//! * 500 `internal`: the source failed, or no principal or no tenant was found out before. The
//!   cause is logged here, and not again.
//!
//! A request that is [`TenantFree`] passes, and has no access.
//!
//! # Deployment
//!
//! Access is a snapshot that grows old while the request runs. It is good for refusing early; the
//! transaction that acts reads the facts again. A source that caches makes this cheaper and does
//! not make it less safe: nobody is refused for what a cache remembers, since whoever would refuse
//! [reads it anew](crate::authorize) first.
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
use std::pin::Pin;
use std::sync::Arc;

use mt_core::access::{Access, AccessError, AccessModel, AccessSource};
use mt_core::auth::Principal;
use mt_core::id::TenantId;

use crate::guard::{Guard, View};
use crate::problem::Problem;
use crate::resolve_tenant::{RequestedTenant, TenantFree};
use crate::trace;

/// Guard that loads the caller's access.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct LoadAccess<M: AccessModel, S> {
    source: Arc<S>,
    reload: Reload<M>,
}

impl<M: AccessModel, S: AccessSource<M>> LoadAccess<M, S> {
    /// Loads from `source`.
    pub fn new(source: S) -> Self {
        let source = Arc::new(source);
        let reload = Reload::past_caches_of(Arc::clone(&source));
        Self { source, reload }
    }
}

impl<M: AccessModel, S: AccessSource<M>> Guard for LoadAccess<M, S> {
    const NEVER_WAITS: bool = S::NEVER_WAITS;

    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        if view.extensions.get::<TenantFree>().is_some() {
            return Ok(());
        }
        let principal = *view.need::<Principal>()?;
        let RequestedTenant(tenant) = *view.need()?;
        // The transaction says the same; a source of the embedder's own might not.
        if !principal.may_act_in(tenant) {
            return Err(refuse(&AccessError::NotAMember));
        }
        let access = self.source.access(principal, tenant).await.map_err(|error| refuse(&error))?;
        trace::record_tenant(view.extensions, tenant);
        if access.is_cached() {
            view.extensions.insert(self.reload.clone());
        }
        view.extensions.insert(access);
        Ok(())
    }
}

/// Loads access past any cache. Left beside a cached one, for whoever would refuse because of it.
pub(crate) struct Reload<M: AccessModel>(Arc<LoadFresh<M>>);

type LoadFresh<M> = dyn Fn(Principal, TenantId) -> Loading<M> + Send + Sync;
type Loading<M> = Pin<Box<dyn Future<Output = Result<Access<M>, AccessError>> + Send>>;

impl<M: AccessModel> Reload<M> {
    fn past_caches_of<S: AccessSource<M>>(source: Arc<S>) -> Self {
        Self(Arc::new(move |principal, tenant| {
            let source = Arc::clone(&source);
            Box::pin(async move { source.fresh(principal, tenant).await })
        }))
    }

    pub(crate) async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, Problem> {
        self.0(principal, tenant).await.map_err(|error| refuse(&error))
    }
}

impl<M: AccessModel> Clone for Reload<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

fn refuse(error: &AccessError) -> Problem {
    log(error);
    error.into()
}

fn log(error: &AccessError) {
    let cause = error.source();
    match error {
        AccessError::NotAMember | AccessError::SignedOut => tracing::debug!(%error),
        AccessError::Unavailable(_) => tracing::warn!(cause, "{error}"),
        _ => tracing::error!(cause, "{error}"),
    }
}

impl<M: AccessModel, S: fmt::Debug> fmt::Debug for LoadAccess<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadAccess").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<M: AccessModel, S> Clone for LoadAccess<M, S> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), reload: self.reload.clone() }
    }
}
