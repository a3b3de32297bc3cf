//! What a store of counts has to do for a limiter.

use std::error::Error;
use std::future::Future;

use super::{Quota, Verdict};

/// Counts where several processes see it. It may fail; `StoreLimiter` decides what then.
///
/// Implemented by `redis::RedisStore` (feature `redis`).
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
}
