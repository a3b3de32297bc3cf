//! Refuses requests early if the queue for a connection is full.
//!
//! [`Bulkhead`] checks the [`Shares`] of the pool, of which `mt-core` takes a seat when it opens a transaction. The
//! guard takes no seat, so a request that reads a slow body or sends a long answer holds nothing that others need.
//! The transaction would refuse such a request too, but only after its body was read.
//!
//! In a tenant the share is that of the member, if the last decision in this process found one
//! ([`AccessSource::recent`]). Otherwise it is that of the principal outside of tenants, so a stranger uses nothing of a
//! tenant's.
//!
//! # When it refuses
//!
//! * 503 `unavailable` with `Retry-After`: the queue of the tenant or principal is full;
//! * 500 `internal`: there is no principal.
//!
//! # Example
//!
//! ```
//! use mt_core::access::{AccessModel, AccessSource};
//! use mt_core::auth::Authenticator;
//! use mt_core::shares::Shares;
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::bulkhead::Bulkhead;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::resolve_tenant::{PathParam, ResolveTenant};
//!
//! // With Postgres: `database.shares().clone()` and `database.tenants(…)`.
//! fn guards<M, S, A>(tokens: A, shares: Shares, tenants: S) -> impl Clone
//! where
//!     M: AccessModel,
//!     S: AccessSource<M>,
//!     A: Authenticator,
//! {
//!     GuardLayer::new((
//!         Authenticate::new(tokens),
//!         ResolveTenant::new(PathParam("shop_id")),
//!         Bulkhead::new(shares, tenants),
//!     ))
//! }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mt_core::access::{AccessModel, AccessSource};
use mt_core::auth::Principal;
use mt_core::shares::{Requester, Shares};

use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;
use crate::resolve_tenant::RequestedTenant;

/// The `Retry-After` of a refusal: about as long as a request waits for its seat.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Guard that refuses requests early if the queue for a connection is full.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct Bulkhead<M, S> {
    shares: Shares,
    members: Arc<S>,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel, S: AccessSource<M>> Bulkhead<M, S> {
    /// Creates the guard of `shares`, with `members` to tell members from strangers.
    pub fn new(shares: Shares, members: S) -> Self {
        Self { shares, members: Arc::new(members), model: PhantomData }
    }
}

impl<M: AccessModel, S: AccessSource<M>> Guard for Bulkhead<M, S> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let principal = *request.require::<Principal>()?;
        let member = match request.extensions.get::<RequestedTenant>() {
            Some(RequestedTenant(tenant)) => self.members.recent(principal, *tenant),
            None => None,
        };
        let requester = match &member {
            Some(access) => Requester::member(access),
            None => Requester::Principal(principal.id()),
        };
        self.shares.check(requester).map_err(|error| {
            tracing::warn!("{error}");
            Problem::unavailable().with_retry_after(RETRY_AFTER)
        })
    }
}

impl<M, S> Clone for Bulkhead<M, S> {
    fn clone(&self) -> Self {
        Self { shares: self.shares.clone(), members: Arc::clone(&self.members), model: PhantomData }
    }
}

impl<M, S> fmt::Debug for Bulkhead<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead").field("shares", &self.shares).finish_non_exhaustive()
    }
}
