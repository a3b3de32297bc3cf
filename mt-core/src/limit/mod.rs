//! Rate limits: how often a key may do something in a span of time.
//!
//! A [`RateLimiter`] counts. What a key is made of (client address, principal, tenant, route) and
//! what an answer says about the limit is the business of `mt-tower`.
//!
//! | limiter | counts |
//! | --- | --- |
//! | [`InProcessLimiter`] | in this process: each replica has a quota of its own |
//! | `StoreLimiter` (feature `limit-store`) | in a [`LimitStore`] that replicas share; while that is away, as `WhenAway` says |
//!
//! All of them count by the [`Policy`] of the quota: fixed windows unless it says otherwise, which let
//! twice the limit through around the edge of two windows; a sliding window and GCRA do not.

#[cfg(feature = "limit-store")]
mod breaker;
mod in_process;
mod policy;
mod store;
#[cfg(feature = "limit-store")]
mod store_limiter;

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

pub use self::in_process::InProcessLimiter;
pub use self::policy::Policy;
pub use self::store::{LimitStore, StoreError};
#[cfg(feature = "limit-store")]
pub use self::store_limiter::{StoreLimiter, WhenAway};

/// At most `limit` within `window`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    /// How many are let through in one window.
    pub limit: NonZeroU32,
    /// How long a window lasts.
    pub window: Duration,
    /// How the two are read.
    pub policy: Policy,
}

impl Quota {
    /// `limit` in each fixed window of this length.
    #[must_use]
    pub const fn new(limit: NonZeroU32, window: Duration) -> Self {
        Self { limit, window, policy: Policy::FixedWindow }
    }

    /// `limit` a minute.
    #[must_use]
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_mins(1))
    }

    /// `limit` an hour.
    #[must_use]
    pub const fn per_hour(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_hours(1))
    }

    /// The same by another policy.
    #[must_use]
    pub const fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }
}

/// What a limiter says of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the request is within the quota.
    pub allowed: bool,
    /// How many more are let through at this moment.
    pub remaining: u32,
    /// How long at most until the whole quota is there again, if nothing more is asked for.
    pub reset_after: Duration,
    /// How long until one more is let through. None at all when this one was.
    pub retry_after: Duration,
}

impl Verdict {
    /// The verdict on the latest of `hits` requests in a fixed window that ends after `reset_after`.
    #[must_use]
    pub fn on(hits: u64, limit: NonZeroU32, reset_after: Duration) -> Self {
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
    /// Promises that [`check`](Self::check) is done when it is first polled, which saves its caller an
    /// allocation.
    const NEVER_WAITS: bool = false;

    /// Counts one request of `key` and says whether it is within `quota`.
    ///
    /// # Errors
    ///
    /// [`NotCounted`] from a limiter that is told to refuse while its store is away. What happens then
    /// is decided where the limiter is built, not by each caller.
    fn check(
        &self,
        key: &str,
        quota: Quota,
    ) -> impl Future<Output = Result<Verdict, NotCounted>> + Send;
}

/// The request could not be counted, and is not to be let through uncounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("rate limits cannot be counted at present")]
pub struct NotCounted;

impl<L: RateLimiter> RateLimiter for std::sync::Arc<L> {
    const NEVER_WAITS: bool = L::NEVER_WAITS;

    async fn check(&self, key: &str, quota: Quota) -> Result<Verdict, NotCounted> {
        L::check(self, key, quota).await
    }
}
