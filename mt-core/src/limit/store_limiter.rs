//! A limiter over a store that may be away.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::breaker::Breaker;
use super::{Decision, InProcessLimiter, LimitStore, NotCounted, Quota, RateLimiter, StoreError};
use crate::clock::{Clock, SystemClock};

/// A limiter that counts in a shared store while the store answers, and in this process while it does not.
///
/// A limiter stands before every request, so an outage of its store must neither refuse requests nor slow
/// them down:
///
/// * a call that takes longer than the budget (25 ms by default) is given up;
/// * three failures in a row open a circuit breaker: for a second no request waits for the store, then one
///   request probes it. A store that has parts has a breaker for each (see [`LimitStore::shard`]), up to 64;
///   further parts share one;
/// * meanwhile [`WhenAway`] decides; by default, an [`InProcessLimiter`] holds each key to the same quota, so an
///   attacker who fills the store's memory is still limited in guessing passwords. It counts from the start of
///   the outage, in each replica by itself.
///
/// A warning is logged if the breaker opens, and an information if the store is back;
/// [`store_failures`](Self::store_failures) counts every failure for a metric.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::limit::{Decision, LimitStore, Quota, RateLimiter as _, StoreError, StoreLimiter};
///
/// struct Away;
/// impl LimitStore for Away {
///     async fn count(&self, _: &str, _: Quota) -> Result<Decision, StoreError> {
///         Err(StoreError::new("connection refused"))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let limiter = StoreLimiter::new(Away);
/// let once = Quota::per_minute(NonZeroU32::MIN);
/// assert!(limiter.check("192.0.2.1", once).await.unwrap().allowed);
/// assert!(!limiter.check("192.0.2.1", once).await.unwrap().allowed);
/// assert_eq!(limiter.store_failures(), 2);
/// # });
/// ```
pub struct StoreLimiter<S, C = SystemClock> {
    store: S,
    floor: InProcessLimiter<C>,
    clock: C,
    budget: Duration,
    when_away: WhenAway,
    breakers: Box<[Breaker]>,
    failures: AtomicU64,
    without: AtomicU64,
}

/// More than the masters of usual clusters. Small, because each limiter allocates that many.
const BREAKERS: usize = 64;

/// How requests are decided while the store is away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenAway {
    /// Each key has its quota in this process.
    #[default]
    CountHere,
    /// All requests are allowed, with the whole quota remaining.
    LetThrough,
    /// All requests are refused with [`NotCounted`], for actions that must not happen uncounted.
    Refuse,
}

impl<S: LimitStore> StoreLimiter<S> {
    /// Creates a limiter over `store` with the defaults of the [type's documentation](Self).
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::with_clock(store, SystemClock)
    }
}

impl<S: LimitStore, C: Clock + Clone> StoreLimiter<S, C> {
    /// Creates a limiter whose breaker and fallback read `clock`. The budget is always real time.
    #[must_use]
    pub fn with_clock(store: S, clock: C) -> Self {
        Self {
            store,
            floor: InProcessLimiter::with_capacity(65_536, clock.clone()),
            clock,
            budget: Duration::from_millis(25),
            when_away: WhenAway::CountHere,
            breakers: (0..BREAKERS).map(|_| Breaker::new(3, Duration::from_secs(1))).collect(),
            failures: AtomicU64::new(0),
            without: AtomicU64::new(0),
        }
    }

    /// Sets the longest time that a request waits for the store.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How requests are decided while the store is away.
    #[must_use]
    pub fn when_away(mut self, when_away: WhenAway) -> Self {
        self.when_away = when_away;
        self
    }
}

impl<S, C> StoreLimiter<S, C> {
    /// Returns the store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Returns how many calls to the store have failed or exceeded the budget since the start.
    pub fn store_failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Returns how many requests were decided without the store since the start.
    pub fn decided_without_store(&self) -> u64 {
        self.without.load(Relaxed)
    }
}

impl<S: LimitStore, C: Clock> StoreLimiter<S, C> {
    fn failed(&self, shard: usize, error: &StoreError) {
        self.failures.fetch_add(1, Relaxed);
        if self.breakers[shard].failed(self.clock.now()) {
            tracing::warn!(
                shard,
                error = %error,
                cause = error.source().map(tracing::field::display),
                when_away = ?self.when_away,
                "rate limits are not counted in their store until it answers again",
            );
        }
    }
}

impl<S: LimitStore, C: Clock> RateLimiter for StoreLimiter<S, C> {
    async fn check(&self, key: &str, quota: Quota) -> Result<Decision, NotCounted> {
        let shard = self.store.shard(key, quota) % self.breakers.len();
        if self.breakers[shard].admits(self.clock.now()) {
            let counted = tokio::time::timeout(self.budget, self.store.count(key, quota))
                .await
                .unwrap_or_else(|_| Err(StoreError::new("no answer within the budget")));
            match counted {
                Ok(decision) => {
                    if self.breakers[shard].succeeded() {
                        tracing::info!(shard, "rate limits are counted in their store again");
                    }
                    return Ok(decision);
                }
                Err(error) => self.failed(shard, &error),
            }
        }
        self.without.fetch_add(1, Relaxed);
        match self.when_away {
            WhenAway::CountHere => Ok(self.floor.count(key, quota)),
            WhenAway::LetThrough => Ok(Decision::of_hits(0, quota.limit, quota.window)),
            WhenAway::Refuse => Err(NotCounted),
        }
    }
}

impl<S, C> fmt::Debug for StoreLimiter<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLimiter")
            .field("budget", &self.budget)
            .field("when_away", &self.when_away)
            .field("store_failures", &self.failures)
            .finish_non_exhaustive()
    }
}
