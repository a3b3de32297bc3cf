//! Loads the caller's access to the requested tenant.
//!
//! [`LoadAccess`] asks an [`AccessSource`] and leaves an [`Access`] in the request's extensions, for
//! [`Require`](crate::require::Require) and the handler.
//!
//! # When it refuses
//!
//! * 404 `not-found`: not a member, no such tenant, or a credential that is bound to another one; the
//!   answers do not differ;
//! * 401 `unauthenticated` with `error="invalid_token"`: the credential was signed out;
//! * 503 `unavailable`: the store does not answer at present;
//! * 500 `internal`: the source failed, or the request has no principal or no requested tenant. The cause
//!   is logged here.
//!
//! A request that is [`TenantFree`] passes, and has no access.
//!
//! # Deployment
//!
//! Access is a snapshot that can become out of date while the request runs. It serves to refuse early; the
//! transaction reads the facts again. A source that caches makes this cheaper and not less safe: before a
//! cached access leads to a refusal, it is [loaded again](crate::authorize).
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

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use mt_core::access::{Access, AccessError, AccessModel, AccessSource};
use mt_core::auth::Principal;
use mt_core::id::TenantId;

use crate::guard::{Guard, RequestContext};
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
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        if request.extensions.get::<TenantFree>().is_some() {
            return Ok(());
        }
        let principal = *request.require::<Principal>()?;
        let RequestedTenant(tenant) = *request.require()?;
        // The transaction checks this too; a source of the embedder's own might not.
        if !principal.may_act_in(tenant) {
            return Err(AccessError::NotAMember.into());
        }
        let access = self.source.access(principal, tenant).await?;
        trace::record_tenant(request.extensions, tenant);
        if access.is_cached() {
            request.extensions.insert(self.reload.clone());
        }
        request.extensions.insert(access);
        Ok(())
    }
}

/// Loads access past any cache. It is left beside a cached one, to be used before a refusal.
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
        Ok(self.0(principal, tenant).await?)
    }
}

impl<M: AccessModel> Clone for Reload<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
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
