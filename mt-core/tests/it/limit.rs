//! Rate limiters: clocks, floods of keys, and stores that work, fail or hang.

mod in_process;
mod outage;
mod policies;
mod redis_cluster;
mod redis_store;
mod redis_tls;
mod store_limiter;

use std::collections::HashSet;
use std::error::Error as _;
use std::future::{Future, pending};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use mt_core::clock::{Clock, ManualClock};
use mt_core::limit::{
    Decision, InProcessLimiter, LimitStore, NotCounted, Policy, Quota, RateLimiter, StoreError,
    StoreLimiter, WhenAway,
};
use mt_core::redis::{RedisClusterStore, RedisStore};
use redis::AsyncCommands as _;
use uuid::Uuid;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(DateTime::from_timestamp(1_795_000_000, 0).unwrap()))
}

fn a_minute(limit: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(limit).unwrap())
}

/// A quota that no test uses up, with a window that no test sees end.
fn plenty() -> Quota {
    Quota::per_hour(NonZeroU32::new(1_000_000).unwrap())
}

/// Makes an attempt, and another as long as the store was too slow: it has 25 ms for an answer, which a
/// machine that is busy with other things may not give it. Then it is not known what was counted.
async fn in_time(attempt: impl AsyncFn() -> Result<(), StoreError>) {
    while let Err(error) = attempt().await {
        let cause = error.source().map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("timed out"), "{error}");
    }
}

/// For a limiter that was not to lose a count.
fn all_in_time<S>(limiter: &StoreLimiter<S>) -> Result<(), StoreError> {
    match limiter.store_failures() {
        0 => Ok(()),
        _ => Err(StoreError::new("timed out")),
    }
}

fn seconds(decision: Decision) -> (bool, u32, u64) {
    (decision.allowed, decision.remaining, decision.reset_after.as_secs())
}

const POLICIES: [Policy; 2] = [Policy::FixedWindow, Policy::Gcra];
