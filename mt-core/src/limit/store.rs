//! What a store of counts has to do for a limiter.

use std::error::Error;
use std::future::Future;

use super::{Quota, Verdict};

/// Counts where several processes see it. It may fail; `StoreLimiter` decides what then.
///
/// Implemented by `redis::RedisStore` (feature `redis`) and `redis::RedisClusterStore` (feature
/// `redis-cluster`).
pub trait LimitStore: Send + Sync + 'static {
    /// Counts one request of `key` by the quota's policy, in one atomic step.
    ///
    /// Keys of different windows or policies count apart.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the count is not known. It may have been made nevertheless.
    fn count(
        &self,
        key: &str,
        quota: Quota,
    ) -> impl Future<Output = Result<Verdict, StoreError>> + Send;

    /// Which part of the store counts `key`, if it has parts that can fail apart: any number, the same
    /// for all keys of a part at the time.
    ///
    /// `StoreLimiter` gives each part a circuit breaker of its own. With one for all of them a part that
    /// is away would either take the others with it or, since their successes keep the breaker closed,
    /// have every request for its keys wait for nothing.
    fn shard(&self, key: &str, quota: Quota) -> usize {
        let _ = (key, quota);
        0
    }
}

/// The store did not answer, or not with a count.
#[derive(Debug, thiserror::Error)]
#[error("rate limits could not be counted in their store")]
pub struct StoreError(#[source] Box<dyn Error + Send + Sync>);

impl StoreError {
    /// An outage with its cause, which is for logs.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl<S: LimitStore> LimitStore for std::sync::Arc<S> {
    async fn count(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        S::count(self, key, quota).await
    }

    fn shard(&self, key: &str, quota: Quota) -> usize {
        S::shard(self, key, quota)
    }
}
