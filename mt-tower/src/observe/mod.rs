//! Reports the outcome and the duration of checks to the recorder that the service has.
//!
//! [`ObservedGuard`] is a guard around a guard: it calls a closure with a [`CheckOutcome`] after each
//! check. The closure records it with whatever metrics library the service uses; nothing is global.
//!
//! # Labels
//!
//! The guard's name and the problem's code come from the program, so metrics may use them as labels.
//! Tenants are unbounded: use [`TenantLabels`], which gives a number of tenants a label of their own and
//! all others one together.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use mt_core::access::Permission;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::observe::{CheckOutcome, ObservedGuard};
//! use mt_tower::require::Require;
//!
//! fn layer<P: Permission>(refused: Arc<AtomicU64>) -> impl Clone {
//!     let count = move |outcome: &CheckOutcome<'_>| {
//!         if outcome.problem.is_some() {
//!             refused.fetch_add(1, Ordering::Relaxed);
//!         }
//!     };
//!     GuardLayer::new(ObservedGuard::new("require", Require::<P>::new(), count))
//! }
//! ```

mod labels;

use std::fmt;
use std::time::{Duration, Instant};

use http::Extensions;

pub use self::labels::TenantLabels;
use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;

/// The outcome of one check.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CheckOutcome<'a> {
    /// The name that the guard was given.
    pub guard: &'static str,
    /// The problem that the guard refused with, if it refused.
    pub problem: Option<&'a Problem>,
    /// How long the check took.
    pub took: Duration,
    /// The request's extensions after the check, with the principal and the access if they are known.
    pub extensions: &'a Extensions,
}

/// Guard that reports the outcomes of another guard.
///
/// A check that is dropped because the client disconnected has no outcome and is not reported.
#[derive(Clone)]
#[must_use]
pub struct ObservedGuard<G, F> {
    name: &'static str,
    guard: G,
    report: F,
}

impl<G, F> ObservedGuard<G, F>
where
    G: Guard,
    F: Fn(&CheckOutcome<'_>) + Send + Sync + 'static,
{
    /// Calls `report` after each check of `guard`, with this name. `report` runs within the request, so
    /// it must not block.
    pub const fn new(name: &'static str, guard: G, report: F) -> Self {
        Self { name, guard, report }
    }
}

impl<G, F> Guard for ObservedGuard<G, F>
where
    G: Guard,
    F: Fn(&CheckOutcome<'_>) + Send + Sync + 'static,
{
    async fn check<'a>(&'a self, mut request: RequestContext<'a>) -> Result<(), Problem> {
        let begun = Instant::now();
        let checked = self.guard.check(request.reborrow()).await;
        (self.report)(&CheckOutcome {
            guard: self.name,
            problem: checked.as_ref().err(),
            took: begun.elapsed(),
            extensions: request.extensions,
        });
        checked
    }
}

impl<G, F> fmt::Debug for ObservedGuard<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedGuard").field("name", &self.name).finish_non_exhaustive()
    }
}
