//! What a limiter does while its store is away.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::breaker::Breaker;
use super::{InProcessLimiter, Quota, RateLimiter, StoreError, Verdict, WindowStore};
use crate::clock::{Clock, SystemClock};

/// Counts in a shared store while that answers, and in this process while it does not.
///
/// A limiter stands in front of everything, so an outage of its store must neither refuse requests
/// nor slow them down:
///
/// * a call that takes longer than the budget (25 ms unless told otherwise) is given up;
/// * three failures in a row open a circuit breaker: for a second nobody waits for the store,
///   then one request probes it;
/// * meanwhile an [`InProcessLimiter`] holds each key to the same quota, so that open is not
///   unlimited: whoever drives the store out of memory does not get to guess passwords. It counts
///   from the start of the outage and for each replica by itself.
///
/// The first failure that opens the breaker is logged as a warning, the return as an information;
/// [`store_failures`](Self::store_failures) counts every failure for a metric.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use mt_core::limit::{FailOpen, Hits, Quota, RateLimiter as _, StoreError, WindowStore};
///
/// struct Away;
/// impl WindowStore for Away {
///     async fn hit(&self, _: &str, _: Duration) -> Result<Hits, StoreError> {
///         Err(StoreError::new("connection refused"))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let limiter = FailOpen::new(Away);
/// let once = Quota::per_minute(NonZeroU32::MIN);
/// assert!(limiter.check("192.0.2.1", once).await.allowed);
/// assert!(!limiter.check("192.0.2.1", once).await.allowed);
/// assert_eq!(limiter.store_failures(), 2);
/// # });
/// ```
pub struct FailOpen<S, C = SystemClock> {
    store: S,
    floor: InProcessLimiter<C>,
    clock: C,
    budget: Duration,
    breaker: Breaker,
    failures: AtomicU64,
    on_floor: AtomicU64,
}

impl<S: WindowStore> FailOpen<S> {
    /// Guards `store` with the figures in the [type's documentation](Self).
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::with_clock(store, SystemClock)
    }
}

impl<S: WindowStore, C: Clock + Clone> FailOpen<S, C> {
    /// Takes the time of breaker and floor from `clock`. The budget is always real time.
    #[must_use]
    pub fn with_clock(store: S, clock: C) -> Self {
        Self {
            store,
            floor: InProcessLimiter::with_capacity(65_536, clock.clone()),
            clock,
            budget: Duration::from_millis(25),
            breaker: Breaker::new(3, Duration::from_secs(1)),
            failures: AtomicU64::new(0),
            on_floor: AtomicU64::new(0),
        }
    }

    /// The longest that a request waits for the store.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }
}

impl<S, C> FailOpen<S, C> {
    /// The store behind it.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// How many calls to the store have failed or overrun the budget since the start.
    pub fn store_failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How many requests were counted in this process alone since the start.
    pub fn counted_in_process(&self) -> u64 {
        self.on_floor.load(Relaxed)
    }
}

impl<S: WindowStore, C: Clock> FailOpen<S, C> {
    fn failed(&self, error: &StoreError) {
        self.failures.fetch_add(1, Relaxed);
        if self.breaker.failed(self.clock.now()) {
            tracing::warn!(
                error = %error,
                cause = error.source().map(tracing::field::display),
                "rate limits are counted in this process until their store answers again",
            );
        }
    }
}

impl<S: WindowStore, C: Clock> RateLimiter for FailOpen<S, C> {
    async fn check(&self, key: &str, quota: Quota) -> Verdict {
        if self.breaker.admits(self.clock.now()) {
            let hit = self.store.hit(key, quota.window);
            let hits = tokio::time::timeout(self.budget, hit)
                .await
                .unwrap_or_else(|_| Err(StoreError::new("no answer within the budget")));
            match hits {
                Ok(hits) => {
                    if self.breaker.succeeded() {
                        tracing::info!("rate limits are counted in their store again");
                    }
                    return Verdict::on(hits.count, quota.limit, hits.reset_after);
                }
                Err(error) => self.failed(&error),
            }
        }
        self.on_floor.fetch_add(1, Relaxed);
        self.floor.count(key, quota)
    }
}

impl<S, C> fmt::Debug for FailOpen<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailOpen")
            .field("budget", &self.budget)
            .field("breaker", &self.breaker)
            .field("store_failures", &self.failures)
            .finish_non_exhaustive()
    }
}
