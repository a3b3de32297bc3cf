//! Rate limits: how often a key may do something in a span of time.
//!
//! A [`RateLimiter`] counts. What a key is made of (client address, principal, tenant, route) and
//! what an answer says about the limit is the business of `mt-tower`.
//!
//! | limiter | counts |
//! | --- | --- |
//! | [`InProcessLimiter`] | in this process: each replica has a quota of its own |
//! | `FailOpen` (feature `limit-store`) | in a [`WindowStore`] that replicas share; while that is away, in this process |
//!
//! Both count in fixed windows, each beginning with the first request of its key. A key that
//! spends one quota at the end of a window and the next at the start of the following one gets
//! twice the limit through within a moment; choose limits that stand that.

#[cfg(feature = "limit-store")]
mod breaker;
#[cfg(feature = "limit-store")]
mod fail_open;
mod in_process;
mod store;

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

#[cfg(feature = "limit-store")]
pub use self::fail_open::FailOpen;
pub use self::in_process::InProcessLimiter;
pub use self::store::{Hits, StoreError, WindowStore};

/// At most `limit` within `window`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    /// How many are let through in one window.
    pub limit: NonZeroU32,
    /// How long a window lasts, from its first request.
    pub window: Duration,
}

impl Quota {
    /// `limit` a minute.
    #[must_use]
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self { limit, window: Duration::from_mins(1) }
    }

    /// `limit` an hour.
    #[must_use]
    pub const fn per_hour(limit: NonZeroU32) -> Self {
        Self { limit, window: Duration::from_hours(1) }
    }
}

/// What a limiter says of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the request is within the quota.
    pub allowed: bool,
    /// How many more the present window lets through.
    pub remaining: u32,
    /// How long until the window ends.
    pub reset_after: Duration,
}

impl Verdict {
    /// The verdict on the latest of `hits` requests in a window that ends after `reset_after`.
    #[must_use]
    pub fn on(hits: u64, limit: NonZeroU32, reset_after: Duration) -> Self {
        let left = u64::from(limit.get()).checked_sub(hits);
        Self {
            allowed: left.is_some(),
            remaining: left.map_or(0, |left| u32::try_from(left).unwrap_or(u32::MAX)),
            reset_after,
        }
    }
}

/// Counts requests against quotas.
pub trait RateLimiter: Send + Sync + 'static {
    /// Counts one request of `key` and says whether it is within `quota`.
    ///
    /// There is no error: what happens when the counter's store is away is decided where the
    /// limiter is built, not by each caller.
    fn check(&self, key: &str, quota: Quota) -> impl Future<Output = Verdict> + Send;
}

impl<L: RateLimiter> RateLimiter for std::sync::Arc<L> {
    async fn check(&self, key: &str, quota: Quota) -> Verdict {
        L::check(self, key, quota).await
    }
}
