//! A quota that is divided among sources, so that a few of them cannot use it up.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::time::Duration;

use super::{Decision, NotCounted, Quota, RateLimiter};

/// The number of pools that the quota is divided into.
const POOLS: usize = 4;

/// The number of requests of a source within an hour that are counted.
const COUNTED: NonZeroU32 = NonZeroU32::MAX;

/// Whether a request may draw on the pool for the first requests of sources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reserve {
    /// It may, if it is the first of its source within the hour.
    Open,
    /// It may not: the pool is for requests of another kind.
    Closed,
}

/// A limiter's decision, and the quota that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limited {
    /// The quota: the source's own or the shared one.
    pub quota: Quota,
    /// The decision of the limiter.
    pub decision: Decision,
}

/// A quota that sources share, such as networks or tenants.
///
/// With one count for all, a source that sends often takes the quota from all others, and thirty such sources take all
/// of it. So a source has, in each window, a twentieth of the quota at most (ten, if that is more), and the quota is
/// divided into pools by the number of requests of the source within the last hour:
///
/// | request of its source within the hour | draws on | share of the quota |
/// | --- | --- | --- |
/// | 1st | the first pool | five eighths |
/// | 2nd and 3rd | the second | an eighth |
/// | 4th to 15th | the third | an eighth |
/// | 16th and later | the fourth | an eighth |
///
/// A request whose pool is empty draws on the later ones, never on an earlier one. So the first request of a source
/// within the hour competes only with other first requests for most of the quota, however many other requests there
/// are. Together the pools are the quota. A quota of less than eight is divided as far as it goes,
/// beginning with the last pool.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::limit::{FairShare, InProcessLimiter, Quota, Reserve};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let limiter = InProcessLimiter::new();
/// let all = FairShare::new("mail", Quota::per_minute(NonZeroU32::new(80).unwrap()));
/// let mut sent = 0;
/// for _ in 0..1000 {
///     sent += u32::from(all.check(&limiter, "192.0.2.1", Reserve::Open).await.unwrap().decision.allowed);
/// }
/// assert_eq!(sent, 10);
/// assert!(all.check(&limiter, "192.0.2.2", Reserve::Open).await.unwrap().decision.allowed);
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FairShare {
    name: &'static str,
    quota: Quota,
    of_one: NonZeroU32,
    pools: [u32; POOLS],
}

impl FairShare {
    /// Divides `quota`. Limits of different names count separately.
    #[must_use]
    pub fn new(name: &'static str, quota: Quota) -> Self {
        let all = quota.limit.get();
        let of_one = (all / 20).max(10).min(all);
        let of_one = NonZeroU32::new(of_one).unwrap_or(NonZeroU32::MIN);
        Self { name, quota, of_one, pools: divided(all) }
    }

    /// Counts one request of `source`.
    ///
    /// A request that is refused for its source's own share takes nothing from the shared quota.
    ///
    /// # Errors
    ///
    /// [`NotCounted`], if the limiter returns it.
    pub async fn check<L: RateLimiter>(
        &self,
        limiter: &L,
        source: impl Display,
        reserve: Reserve,
    ) -> Result<Limited, NotCounted> {
        let name = self.name;
        let own = Quota { limit: self.of_one, ..self.quota };
        let decision = limiter.check(&format!("{name}/of={source}"), own).await?;
        if !decision.allowed {
            return Ok(Limited { quota: own, decision });
        }
        let hour = Quota::new(COUNTED, Duration::from_hours(1));
        let counted = limiter.check(&format!("{name}/hour={source}"), hour).await?;
        let first = match reserve {
            Reserve::Open => pool_of(COUNTED.get() - counted.remaining),
            Reserve::Closed => pool_of(COUNTED.get() - counted.remaining).max(1),
        };
        let mut last = Decision { allowed: false, remaining: 0, ..decision };
        for (pool, limit) in self.pools.iter().enumerate().skip(first) {
            let Some(limit) = NonZeroU32::new(*limit) else { continue };
            let quota = Quota { limit, ..self.quota };
            let decision = limiter.check(&format!("{name}/pool={pool}"), quota).await?;
            if decision.allowed {
                return Ok(Limited { quota: self.quota, decision });
            }
            last = decision;
        }
        Ok(Limited { quota: self.quota, decision: last })
    }
}

/// Returns the pool that the `nth` request of a source within the hour draws on.
const fn pool_of(nth: u32) -> usize {
    match nth {
        0 | 1 => 0,
        2..4 => 1,
        4..16 => 2,
        _ => 3,
    }
}

/// Returns the size of each pool for a quota of `all`, from the first pool on.
fn divided(all: u32) -> [u32; POOLS] {
    let eighth = (all / 8).max(1);
    let mut pools = [0; POOLS];
    let mut left = all;
    for pool in pools[1..].iter_mut().rev() {
        *pool = eighth.min(left);
        left -= *pool;
    }
    pools[0] = left;
    pools
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::limit::InProcessLimiter;

    fn per_minute(limit: u32) -> FairShare {
        FairShare::new("all", Quota::per_minute(NonZeroU32::new(limit).unwrap()))
    }

    fn allowed(
        share: &FairShare,
        limiter: &InProcessLimiter,
        source: &str,
        reserve: Reserve,
    ) -> bool {
        let checked = share.check(limiter, source, reserve).now_or_never().unwrap();
        checked.unwrap().decision.allowed
    }

    #[test]
    fn the_pools_are_the_quota() {
        for all in (0..100).chain([600, 601, 1_000_000, u32::MAX]) {
            assert_eq!(
                divided(all).iter().map(|pool| u64::from(*pool)).sum::<u64>(),
                u64::from(all)
            );
        }
        assert_eq!(divided(600), [375, 75, 75, 75]);
        assert_eq!(divided(3), [0, 1, 1, 1]);
        assert_eq!(divided(1), [0, 0, 0, 1]);
    }

    #[test]
    fn one_source_alone_gets_a_twentieth_of_a_large_quota_and_more_of_a_small_one() {
        for (limit, expected) in [(1, 1), (3, 3), (10, 4), (100, 10), (600, 30), (2000, 100)] {
            let (share, limiter) = (per_minute(limit), InProcessLimiter::new());
            let sent = (0..3000).filter(|_| allowed(&share, &limiter, "one", Reserve::Open));
            assert_eq!(sent.count(), expected, "{limit}");
        }
    }

    /// The control is the quota as one count, which the crowd uses up.
    #[test]
    fn a_crowd_that_asks_on_and_on_leaves_room_for_newcomers() {
        let (share, limiter) = (per_minute(600), InProcessLimiter::new());
        let plain = Quota::per_minute(NonZeroU32::new(600).unwrap());
        let mut sent = 0;
        for _round in 0..30 {
            for network in 0..200 {
                let source = format!("crowd {network}");
                sent += u32::from(allowed(&share, &limiter, &source, Reserve::Open));
                limiter.count("plain", plain);
            }
        }
        assert_eq!(sent, 200 + 3 * 75, "the first of each, and the three pools for the rest");
        for newcomer in 0..175 {
            assert!(allowed(&share, &limiter, &format!("newcomer {newcomer}"), Reserve::Open));
        }
        assert!(!allowed(&share, &limiter, "one too many", Reserve::Open));
        assert!(!limiter.count("plain", plain).allowed, "one count for all is used up");
    }

    #[test]
    fn what_may_not_draw_on_the_reserve_does_not() {
        let (share, limiter) = (per_minute(80), InProcessLimiter::new());
        let sent = (0..200)
            .filter(|n| allowed(&share, &limiter, &format!("tenant {n}"), Reserve::Closed))
            .count();
        assert_eq!(sent, 30);
        assert!(allowed(&share, &limiter, "192.0.2.1", Reserve::Open));
    }
}
