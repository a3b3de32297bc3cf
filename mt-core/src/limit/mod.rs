//! Rate limits: how many requests a key may make in a window of time.
//!
//! A [`RateLimiter`] counts. `mt-tower` makes keys of requests (client address, principal, tenant, route)
//! and adds the state of a limit to responses.
//!
//! | limiter | counts |
//! | --- | --- |
//! | [`InProcessLimiter`] | in this process: each replica has a quota of its own |
//! | `StoreLimiter` (feature `limit-store`) | in a [`LimitStore`] that replicas share; `WhenAway` decides while the store is away |
//!
//! A [`FairShare`] divides one quota among sources, so that a few of them cannot use it up.
//!
//! The quota names its [`Policy`]. The default is a fixed window, which lets twice the limit through around the
//! edge of two windows; GCRA does not.

#[cfg(feature = "limit-store")]
mod breaker;
mod fair_share;
mod in_process;
mod policy;
mod store;
#[cfg(feature = "limit-store")]
mod store_limiter;

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

pub use self::fair_share::{FairShare, Limited, Reserve};
pub use self::in_process::InProcessLimiter;
pub use self::policy::Policy;
pub use self::store::{LimitStore, StoreError};
#[cfg(feature = "limit-store")]
pub use self::store_limiter::{StoreLimiter, WhenAway};

/// A quota of at most `limit` requests in a `window`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    /// The number of requests that are allowed in one window.
    pub limit: NonZeroU32,
    /// The length of a window.
    pub window: Duration,
    /// The algorithm that counts.
    pub policy: Policy,
}

impl Quota {
    /// Allows `limit` requests in each fixed window of this length.
    #[must_use]
    pub const fn new(limit: NonZeroU32, window: Duration) -> Self {
        Self { limit, window, policy: Policy::FixedWindow }
    }

    /// Allows `limit` requests a minute.
    #[must_use]
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_mins(1))
    }

    /// Allows `limit` requests an hour.
    #[must_use]
    pub const fn per_hour(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_hours(1))
    }

    /// Replaces the policy.
    #[must_use]
    pub const fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }
}

/// The decision of a limiter on one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the request is within the quota.
    pub allowed: bool,
    /// How many more requests are allowed at this moment.
    pub remaining: u32,
    /// How long until the whole quota is available again, if no further request comes.
    pub reset_after: Duration,
    /// How long until the next request is allowed. Zero if this one is.
    pub retry_after: Duration,
}

impl Decision {
    /// Decides on the latest of `hits` requests in a fixed window that ends after `reset_after`.
    #[must_use]
    pub fn of_hits(hits: u64, limit: NonZeroU32, reset_after: Duration) -> Self {
        let left = u64::from(limit.get()).checked_sub(hits);
        Self {
            allowed: left.is_some(),
            remaining: left.map_or(0, |left| u32::try_from(left).unwrap_or(u32::MAX)),
            reset_after,
            retry_after: if left.is_some() { Duration::ZERO } else { reset_after },
        }
    }
}

/// Counts requests against quotas.
pub trait RateLimiter: Send + Sync + 'static {
    /// Counts one request of `key` and decides whether it is within `quota`.
    ///
    /// # Errors
    ///
    /// [`NotCounted`] from a limiter that is set to refuse while its store is away. That is decided where
    /// the limiter is built, not by each caller.
    fn check(
        &self,
        key: &str,
        quota: Quota,
    ) -> impl Future<Output = Result<Decision, NotCounted>> + Send;
}

/// The request could not be counted, and the limiter is set to refuse it then.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("rate limits cannot be counted at present")]
pub struct NotCounted;

impl<L: RateLimiter> RateLimiter for std::sync::Arc<L> {
    async fn check(&self, key: &str, quota: Quota) -> Result<Decision, NotCounted> {
        L::check(self, key, quota).await
    }
}
