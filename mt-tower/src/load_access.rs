//! Loads the caller's access to the requested tenant.
//!
//! [`LoadAccess`] asks an [`AccessSource`] and leaves an [`Access`] in the request's extensions, for
//! [`Require`](crate::require::Require), rate limits and the handler.
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
//! For routes whose data is not behind `Tenants`, and for guards that go by the plan or the role. It costs a query to
//! the source. Routes behind `Tenants` need no access beforehand: the transaction decides in its first message
//! ([`access_request`](crate::authorize::access_request)).
//!
//! [`or_recent`](LoadAccess::or_recent) saves the query for guards that need no decision, such as a rate limit by plan.
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
use std::marker::PhantomData;
use std::sync::Arc;

use mt_core::access::{Access, AccessError, AccessModel, AccessSource};
use mt_core::auth::Principal;

use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;
use crate::resolve_tenant::{RequestedTenant, TenantFree};
use crate::trace;

/// The access that the last decision on the caller's membership in this process found. It may be out of date, so it
/// chooses a rate limit and decides nothing else.
#[derive(Debug)]
pub struct RecentAccess<M: AccessModel>(pub Access<M>);

impl<M: AccessModel> Clone for RecentAccess<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: AccessModel> Copy for RecentAccess<M> {}

/// Returns the access that was loaded, or the recent one.
pub(crate) fn loaded_or_recent<'e, M: AccessModel>(
    request: &'e RequestContext<'_>,
) -> Result<&'e Access<M>, Problem> {
    match request.extensions.get::<RecentAccess<M>>() {
        Some(RecentAccess(access)) => Ok(access),
        None => request.require(),
    }
}

/// Guard that loads the caller's access.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct LoadAccess<M: AccessModel, S> {
    source: Arc<S>,
    recent: bool,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel, S: AccessSource<M>> LoadAccess<M, S> {
    /// Loads from `source`.
    pub fn new(source: S) -> Self {
        Self { source: Arc::new(source), recent: false, model: PhantomData }
    }

    /// Loads access only if the source has none that is [recent](AccessSource::recent). Otherwise the request gets a
    /// [`RecentAccess`] and no [`Access`], and a transaction behind it decides.
    pub fn or_recent(self) -> Self {
        Self { recent: true, ..self }
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
        if self.recent
            && let Some(access) = self.source.recent(principal, tenant)
        {
            request.extensions.insert(RecentAccess(access));
            return Ok(());
        }
        let access = self.source.access(principal, tenant).await?;
        trace::record_tenant(request.extensions, tenant);
        request.extensions.insert(access);
        Ok(())
    }
}

impl<M: AccessModel, S: fmt::Debug> fmt::Debug for LoadAccess<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadAccess").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<M: AccessModel, S> Clone for LoadAccess<M, S> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), recent: self.recent, model: PhantomData }
    }
}
