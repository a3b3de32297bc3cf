//! Stores of counts that several processes share.

use std::error::Error;
use std::future::Future;

use super::{Decision, Quota};

/// A store of counts that several processes share. It may fail; `StoreLimiter` decides what happens then.
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
    /// [`StoreError`] if the decision is not known. The request may have been counted nevertheless.
    fn count(
        &self,
        key: &str,
        quota: Quota,
    ) -> impl Future<Output = Result<Decision, StoreError>> + Send;

    /// Returns the part of the store that counts `key`, if the store has parts that can fail one by one: any
    /// number, the same for all keys of a part at the time.
    ///
    /// `StoreLimiter` has a circuit breaker for each part. With one for all of them, a part that is away would
    /// either stop the others or, because their successes keep the breaker closed, make every request for its
    /// keys wait for the timeout.
    fn shard(&self, key: &str, quota: Quota) -> usize {
        let _ = (key, quota);
        0
    }
}

/// The store did not answer, or its answer is not a count.
#[derive(Debug, thiserror::Error)]
#[error("rate limits could not be counted in their store")]
pub struct StoreError(#[source] Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Creates the error with its cause, which is for logs.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl<S: LimitStore> LimitStore for std::sync::Arc<S> {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        S::count(self, key, quota).await
    }

    fn shard(&self, key: &str, quota: Quota) -> usize {
        S::shard(self, key, quota)
    }
}
