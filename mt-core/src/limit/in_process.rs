//! Counts in memory, bounded under a flood of keys.

mod digest;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use self::digest::{BuildDigestHasher, Digest, Digester};
use super::policy::{self, State};
use super::{NotCounted, Quota, RateLimiter, Verdict};
use crate::clock::{Clock, SystemClock};

/// Locks among which keys are spread.
const SHARDS: usize = 16;

/// Counts in this process, in memory of a fixed size.
///
/// Replicas do not know of each other: with `n` of them a client has up to `n` quotas. Use it for
/// one process, for tests, and as the floor under a shared limiter (`StoreLimiter`).
///
/// # Under a flood of keys
///
/// At most `capacity` counts are kept, of some 100 bytes each whatever the length of a key: a key
/// is remembered as 128 bits of a `SipHash` whose secret is drawn at random, which a client can neither
/// guess nor collide with. When a shard is full, what has ended is dropped, and if that is not enough, the
/// eighth that ends first. One such sweep walks the shard (4096 counts by default) and makes
/// room for the next few hundred keys. So a flood costs no more memory than the bound, and the
/// price is that a client with more addresses than `capacity` can make its own counts be
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
/// assert_eq!(limiter.check("192.0.2.1", twice).await.unwrap().remaining, 1);
/// assert!(limiter.check("192.0.2.1", twice).await.unwrap().allowed);
/// assert!(!limiter.check("192.0.2.1", twice).await.unwrap().allowed);
/// assert!(limiter.check("192.0.2.2", twice).await.unwrap().allowed);
/// # }).unwrap();
/// ```
pub struct InProcessLimiter<C = SystemClock> {
    shards: [Mutex<Shard>; SHARDS],
    digester: Digester,
    clock: C,
}

impl InProcessLimiter {
    /// Keeps 65 536 counts, some 6 MiB.
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
    /// Keeps about `capacity` counts (rounded up to a multiple of 128) and reads `clock`.
    #[must_use]
    pub fn with_capacity(capacity: usize, clock: C) -> Self {
        let each = capacity.div_ceil(SHARDS).next_multiple_of(8).max(8);
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::new(each))),
            digester: Digester::new(),
            clock,
        }
    }

    /// Counts one request of `key`. The same as [`RateLimiter::check`], for callers that are not
    /// asynchronous.
    pub fn count(&self, key: &str, quota: Quota) -> Verdict {
        // Window and policy are part of the key: two quotas on one key count apart.
        let digest = self.digester.digest(key, quota.window, quota.policy);
        let shard = &self.shards[digest.shard(SHARDS)];
        // A panic elsewhere leaves counts behind that are as good as before.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that nobody finds a count that was made after their own time.
        let now = self.clock.micros();
        shard.count(digest, quota, now)
    }

    /// How many counts are remembered at present, ended ones among them.
    #[must_use]
    pub fn counts(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).counts.len())
            .sum()
    }
}

impl<C: Clock> RateLimiter for InProcessLimiter<C> {
    const NEVER_WAITS: bool = true;

    async fn check(&self, key: &str, quota: Quota) -> Result<Verdict, NotCounted> {
        Ok(self.count(key, quota))
    }
}

struct Shard {
    counts: HashMap<Digest, Count, BuildDigestHasher>,
    // INVARIANT: `counts.len() <= capacity`.
    capacity: usize,
}

#[derive(Clone, Copy)]
struct Count {
    state: State,
    window: Duration,
}

impl Count {
    fn ends(&self) -> i64 {
        self.state.ends(self.window)
    }

    /// Not over, and not from a future that a clock set back has left behind.
    fn is_running(&self, now: i64) -> bool {
        let ends = self.ends();
        ends > now && ends <= State::latest_end(self.window, now)
    }
}

impl Shard {
    fn new(capacity: usize) -> Self {
        Self { counts: HashMap::default(), capacity }
    }

    fn count(&mut self, key: Digest, quota: Quota, now: i64) -> Verdict {
        if let Some(count) = self.counts.get_mut(&key) {
            let (state, verdict) = policy::count(Some(count.state), quota, now);
            count.state = state;
            return verdict;
        }
        let (state, verdict) = policy::count(None, quota, now);
        if self.counts.len() >= self.capacity {
            self.make_room(now);
        }
        self.counts.insert(key, Count { state, window: quota.window });
        verdict
    }

    /// Drops what has ended, and the eighth that ends first if that leaves the shard nearly full.
    fn make_room(&mut self, now: i64) {
        self.counts.retain(|_, count| count.is_running(now));
        let eighth = self.capacity / 8;
        if self.counts.len() + eighth <= self.capacity {
            return;
        }
        let mut by_end: Vec<_> = self.counts.iter().map(|(key, c)| (c.ends(), *key)).collect();
        by_end.select_nth_unstable(eighth - 1);
        for (_, key) in &by_end[..eighth] {
            self.counts.remove(key);
        }
    }
}

impl<C> fmt::Debug for InProcessLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessLimiter").finish_non_exhaustive()
    }
}
