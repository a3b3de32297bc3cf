//! What a store of windows has to do for a limiter.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

/// Counts in windows that several processes share. It may fail; `FailOpen` decides what then.
///
/// Implemented by `redis::RedisFixedWindow` (feature `redis`).
pub trait WindowStore: Send + Sync + 'static {
    /// Counts one request of `key` in its present window, opening one of length `window` when
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the count is not known. It may have been made nevertheless.
    fn hit(
        &self,
        key: &str,
        window: Duration,
    ) -> impl Future<Output = Result<Hits, StoreError>> + Send;
}

/// The state of a window after a request was counted in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hits {
    /// Requests in the window, this one among them.
    pub count: u64,
    /// How long until the window ends.
    pub reset_after: Duration,
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

impl<S: WindowStore> WindowStore for std::sync::Arc<S> {
    async fn hit(&self, key: &str, window: Duration) -> Result<Hits, StoreError> {
        S::hit(self, key, window).await
    }
}
