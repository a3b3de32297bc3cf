//! Counts in memory, bounded under a flood of keys.

mod digest;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use self::digest::{BuildDigestHasher, Digest, Digester};
use super::policy::{self, State};
use super::{Decision, NotCounted, Quota, RateLimiter};
use crate::clock::{Clock, SystemClock};

/// The number of locks that keys are spread over.
const SHARDS: usize = 16;

/// A limiter that counts in this process, in memory of a fixed size.
///
/// Each replica counts by itself: with `n` of them a client has up to `n` quotas. Use it for one process,
/// for tests, and as the fallback of a shared limiter (`StoreLimiter`).
///
/// # Under a flood of keys
///
/// At most `capacity` counts are kept, of some 100 bytes each whatever the length of a key: a key is stored as
/// 128 bits of a `SipHash` with a random secret, so a client can neither guess it nor make two keys collide. If
/// a shard is full, ended counts are dropped, and if that is not enough, the eighth that ends first. One such
/// sweep walks the shard (4096 counts by default) and makes room for the next few hundred keys. So a flood costs
/// no more memory than the bound; in return, a client with more addresses than `capacity` can make the limiter
/// forget counts before their time, its own and those of others.
///
/// # Clock
///
/// Windows end by the wall clock. If it is set back, windows that would begin in the future begin again.
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
    /// Creates a limiter that keeps 65 536 counts, some 6 MiB.
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
    /// Creates a limiter that keeps about `capacity` counts (rounded up to a multiple of 128) and reads `clock`.
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
    pub fn count(&self, key: &str, quota: Quota) -> Decision {
        // Window and policy are part of the key: two quotas on one key count apart.
        let digest = self.digester.digest(key, quota.window, quota.policy);
        let shard = &self.shards[digest.shard(SHARDS)];
        // A panic elsewhere does not damage the counts.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no count is later than the time it is compared with.
        let now = self.clock.micros();
        shard.count(digest, quota, now)
    }

    /// Returns the number of counts that are kept at present, ended ones included.
    #[must_use]
    pub fn counts(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).counts.len())
            .sum()
    }
}

impl<C: Clock> RateLimiter for InProcessLimiter<C> {
    async fn check(&self, key: &str, quota: Quota) -> Result<Decision, NotCounted> {
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

    /// Returns whether the count has not ended, and does not lie in the future of a clock that was set back.
    fn is_running(&self, now: i64) -> bool {
        let ends = self.ends();
        ends > now && ends <= State::latest_end(self.window, now)
    }
}

impl Shard {
    fn new(capacity: usize) -> Self {
        Self { counts: HashMap::default(), capacity }
    }

    fn count(&mut self, key: Digest, quota: Quota, now: i64) -> Decision {
        if let Some(count) = self.counts.get_mut(&key) {
            let (state, decision) = policy::count(Some(count.state), quota, now);
            count.state = state;
            return decision;
        }
        let (state, decision) = policy::count(None, quota, now);
        if self.counts.len() >= self.capacity {
            self.make_room(now);
        }
        self.counts.insert(key, Count { state, window: quota.window });
        decision
    }

    /// Drops ended counts, and the eighth that ends first if the shard is still nearly full.
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
