//! Counts and times what guards decide, with whatever recorder the service has.
//!
//! [`Observed`] is a guard around a guard: it tells an [`Observer`] of each [`Decision`]. No recorder
//! is forced on anybody, and none is global: an observer is a value, be it a closure.
//!
//! # Labels
//!
//! The name of the guard and the code of the problem are words of the program, so a metric may carry
//! them as they are. A tenant is not: label with [`TenantLabels`], which gives so many tenants a
//! label of their own and the rest one together.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use mt_core::access::AccessModel;
//! use mt_tower::billing_gate::BillingGate;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::observe::{Decision, Observed};
//!
//! fn layer<M: AccessModel>(unpaid: Arc<AtomicU64>) -> impl Clone {
//!     let count = move |decision: &Decision<'_>| {
//!         if decision.problem.is_some() {
//!             unpaid.fetch_add(1, Ordering::Relaxed);
//!         }
//!     };
//!     GuardLayer::new(Observed::new("billing", BillingGate::<M>::new(), count))
//! }
//! ```

mod labels;

use std::fmt;
use std::time::{Duration, Instant};

use http::Extensions;

pub use self::labels::TenantLabels;
use crate::guard::{Guard, View};
use crate::problem::Problem;

/// Is told what guards decide. It is called in the middle of a request, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of a decision.
    fn decided(&self, decision: &Decision<'_>);
}

impl<F> Observer for F
where
    F: Fn(&Decision<'_>) + Send + Sync + 'static,
{
    fn decided(&self, decision: &Decision<'_>) {
        self(decision);
    }
}

/// What a guard has decided on a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Decision<'a> {
    /// The name that the guard was given.
    pub guard: &'static str,
    /// Why it has refused, if it has.
    pub problem: Option<&'a Problem>,
    /// How long that took.
    pub took: Duration,
    /// The request's extensions as the guard has left them, where principal and access are.
    pub extensions: &'a Extensions,
}

/// A guard whose decisions are told to an observer.
///
/// A check that is dropped because its client has gone decides nothing and is not told.
#[derive(Clone)]
#[must_use]
pub struct Observed<G, O> {
    name: &'static str,
    guard: G,
    observer: O,
}

impl<G: Guard, O: Observer> Observed<G, O> {
    /// Tells `observer` of what `guard` decides, by this name.
    pub const fn new(name: &'static str, guard: G, observer: O) -> Self {
        Self { name, guard, observer }
    }
}

impl<G: Guard, O: Observer> Guard for Observed<G, O> {
    const NEVER_WAITS: bool = G::NEVER_WAITS;

    async fn check<'a>(&'a self, mut view: View<'a>) -> Result<(), Problem> {
        let begun = Instant::now();
        let verdict = self.guard.check(view.reborrow()).await;
        self.observer.decided(&Decision {
            guard: self.name,
            problem: verdict.as_ref().err(),
            took: begun.elapsed(),
            extensions: view.extensions,
        });
        verdict
    }
}

impl<G, O> fmt::Debug for Observed<G, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}
