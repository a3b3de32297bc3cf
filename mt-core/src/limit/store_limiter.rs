//! What a limiter does while its store is away.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::breaker::Breaker;
use super::{InProcessLimiter, LimitStore, NotCounted, Quota, RateLimiter, StoreError, Verdict};
use crate::clock::{Clock, SystemClock};

/// Counts in a shared store while that answers, and in this process while it does not.
///
/// A limiter stands in front of everything, so an outage of its store must neither refuse requests
/// nor slow them down:
///
/// * a call that takes longer than the budget (25 ms unless told otherwise) is given up;
/// * three failures in a row open a circuit breaker: for a second nobody waits for the store,
///   then one request probes it. Of a store that has parts each has its own (see
///   [`LimitStore::shard`]), up to 64 of them; beyond that parts share one;
/// * meanwhile [`WhenAway`] decides; unless told otherwise, an [`InProcessLimiter`] holds each key to
///   the same quota, so that open is not unlimited: whoever drives the store out of memory does not
///   get to guess passwords. It counts from the start of the outage and for each replica by itself.
///
/// The first failure that opens the breaker is logged as a warning, the return as an information;
/// [`store_failures`](Self::store_failures) counts every failure for a metric.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::limit::{LimitStore, Quota, RateLimiter as _, StoreError, StoreLimiter, Verdict};
///
/// struct Away;
/// impl LimitStore for Away {
///     async fn count(&self, _: &str, _: Quota) -> Result<Verdict, StoreError> {
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

/// More than clusters of a usual size have masters. Small, since each limiter has that many.
const BREAKERS: usize = 64;

/// What becomes of requests while the store is away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenAway {
    /// Each key has its quota in this process.
    #[default]
    CountHere,
    /// All are let through, and told that they have used nothing.
    LetThrough,
    /// All are refused with [`NotCounted`], for what must not happen uncounted.
    Refuse,
}

impl<S: LimitStore> StoreLimiter<S> {
    /// Guards `store` with the figures in the [type's documentation](Self).
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::with_clock(store, SystemClock)
    }
}

impl<S: LimitStore, C: Clock + Clone> StoreLimiter<S, C> {
    /// Takes the time of breaker and floor from `clock`. The budget is always real time.
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

    /// The longest that a request waits for the store.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// What becomes of requests while the store is away.
    #[must_use]
    pub fn when_away(mut self, when_away: WhenAway) -> Self {
        self.when_away = when_away;
        self
    }
}

impl<S, C> StoreLimiter<S, C> {
    /// The store behind it.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// How many calls to the store have failed or overrun the budget since the start.
    pub fn store_failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How many requests were decided without the store since the start.
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
    async fn check(&self, key: &str, quota: Quota) -> Result<Verdict, NotCounted> {
        let shard = self.store.shard(key, quota) % self.breakers.len();
        if self.breakers[shard].admits(self.clock.now()) {
            let counted = tokio::time::timeout(self.budget, self.store.count(key, quota))
                .await
                .unwrap_or_else(|_| Err(StoreError::new("no answer within the budget")));
            match counted {
                Ok(verdict) => {
                    if self.breakers[shard].succeeded() {
                        tracing::info!(shard, "rate limits are counted in their store again");
                    }
                    return Ok(verdict);
                }
                Err(error) => self.failed(shard, &error),
            }
        }
        self.without.fetch_add(1, Relaxed);
        match self.when_away {
            WhenAway::CountHere => Ok(self.floor.count(key, quota)),
            WhenAway::LetThrough => Ok(Verdict::on(0, quota.limit, quota.window)),
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
