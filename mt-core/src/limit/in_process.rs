//! Fixed windows in memory, bounded under a flood of keys.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Quota, RateLimiter, Verdict};
use crate::clock::{Clock, SystemClock};

/// Locks among which keys are spread.
const SHARDS: usize = 16;

/// Counts in this process, in memory of a fixed size.
///
/// Replicas do not know of each other: with `n` of them a client has up to `n` quotas. Use it for
/// one process, for tests, and as the floor under a shared limiter (`FailOpen`).
///
/// # Under a flood of keys
///
/// At most `capacity` windows are kept, of some 100 bytes each whatever the length of a key: a key
/// is remembered as 128 bits of a hash seeded at random, which a client can neither guess nor
/// collide with. When a shard is full, windows that have ended are dropped, and if that is not
/// enough, the oldest eighth. One such sweep walks the shard (4096 windows by default) and makes
/// room for the next few hundred keys. So a flood costs no more memory than the bound, and the
/// price is that a client with more addresses than `capacity` can make its own windows be
/// forgotten before their time, and those of others.
///
/// # Clock
///
/// Windows end by the wall clock. When it is set back, windows that would begin in the future
/// begin again.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::limit::{InProcessLimiter, Quota, RateLimiter as _};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let limiter = InProcessLimiter::new();
/// let twice = Quota::per_minute(NonZeroU32::new(2).unwrap());
/// assert_eq!(limiter.check("192.0.2.1", twice).await.remaining, 1);
/// assert!(limiter.check("192.0.2.1", twice).await.allowed);
/// assert!(!limiter.check("192.0.2.1", twice).await.allowed);
/// assert!(limiter.check("192.0.2.2", twice).await.allowed);
/// # }).unwrap();
/// ```
pub struct InProcessLimiter<C = SystemClock> {
    shards: [Mutex<Shard>; SHARDS],
    seeds: [RandomState; 2],
    clock: C,
}

impl InProcessLimiter {
    /// Keeps 65 536 windows, some 6 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(65_536, SystemClock)
    }
}

impl Default for InProcessLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> InProcessLimiter<C> {
    /// Keeps about `capacity` windows (rounded up to a multiple of 128) and reads `clock`.
    #[must_use]
    pub fn with_capacity(capacity: usize, clock: C) -> Self {
        let each = capacity.div_ceil(SHARDS).next_multiple_of(8).max(8);
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::new(each))),
            seeds: [RandomState::new(), RandomState::new()],
            clock,
        }
    }

    /// Counts one request of `key`. The same as [`RateLimiter::check`], for callers that are not
    /// asynchronous.
    pub fn count(&self, key: &str, quota: Quota) -> Verdict {
        let now = self.clock.now();
        // The length of the window is part of the key: two quotas on one key count apart.
        let [high, low] = [0, 1].map(|i: usize| self.seeds[i].hash_one((key, quota.window)));
        let shard = &self.shards[usize::try_from(low).unwrap_or(usize::MAX) % SHARDS];
        let key = u128::from(high) << 64 | u128::from(low);
        // A panic elsewhere leaves counts behind that are as good as before.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.count(key, quota, now)
    }

    /// How many windows are remembered at present, ended ones among them.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).windows.len())
            .sum()
    }
}

impl<C: Clock> RateLimiter for InProcessLimiter<C> {
    async fn check(&self, key: &str, quota: Quota) -> Verdict {
        self.count(key, quota)
    }
}

struct Shard {
    windows: HashMap<u128, Window>,
    // INVARIANT: `windows.len() <= capacity`.
    capacity: usize,
}

#[derive(Clone, Copy)]
struct Window {
    start: DateTime<Utc>,
    length: Duration,
    hits: u32,
}

impl Window {
    /// How long the window still lasts, if `now` is within it.
    fn left(&self, now: DateTime<Utc>) -> Option<Duration> {
        let age = now.signed_duration_since(self.start).to_std().ok()?;
        self.length.checked_sub(age).filter(|left| !left.is_zero())
    }
}

impl Shard {
    fn new(capacity: usize) -> Self {
        Self { windows: HashMap::new(), capacity }
    }

    fn count(&mut self, key: u128, quota: Quota, now: DateTime<Utc>) -> Verdict {
        if let Some(window) = self.windows.get_mut(&key)
            && let Some(left) = window.left(now)
        {
            window.hits = window.hits.saturating_add(1);
            return Verdict::on(window.hits.into(), quota.limit, left);
        }
        if self.windows.len() >= self.capacity && !self.windows.contains_key(&key) {
            self.make_room(now);
        }
        self.windows.insert(key, Window { start: now, length: quota.window, hits: 1 });
        Verdict::on(1, quota.limit, quota.window)
    }

    /// Drops what has ended, and the oldest eighth if that leaves the shard nearly full.
    fn make_room(&mut self, now: DateTime<Utc>) {
        self.windows.retain(|_, window| window.left(now).is_some());
        let eighth = self.capacity / 8;
        if self.windows.len() + eighth <= self.capacity {
            return;
        }
        let mut by_age: Vec<_> = self.windows.iter().map(|(key, w)| (w.start, *key)).collect();
        by_age.select_nth_unstable(eighth - 1);
        for (_, key) in &by_age[..eighth] {
            self.windows.remove(key);
        }
    }
}

impl<C> fmt::Debug for InProcessLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessLimiter").finish_non_exhaustive()
    }
}
