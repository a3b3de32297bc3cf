//! Names of tenants: slugs, subdomains, domains of their own.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mt_core::clock::{Clock, SystemClock};
use mt_core::id::TenantId;
use quick_cache::sync::Cache;

use crate::problem::Problem;

/// Finds the tenant that has a name.
///
/// The name comes from a client. Implementations look it up as a parameter of a statement, and hand
/// it to nothing else.
pub trait Directory: Send + Sync + 'static {
    /// Promises that [`find`](Self::find) is done when it is first polled; see
    /// [`Guard::NEVER_WAITS`](crate::Guard::NEVER_WAITS).
    const NEVER_WAITS: bool = false;

    /// The tenant, or none that has this name.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when it cannot be told at present.
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Option<TenantId>, DirectoryError>> + Send + 'a;
}

impl<D: Directory> Directory for Arc<D> {
    const NEVER_WAITS: bool = D::NEVER_WAITS;

    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Option<TenantId>, DirectoryError>> + Send + 'a {
        D::find(self, name)
    }
}

/// The directory did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the tenant's name could not be looked up")]
pub struct DirectoryError(#[source] Box<dyn Error + Send + Sync>);

impl DirectoryError {
    /// An outage with its cause, which is for logs.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The tenant of this name, or the problem to refuse with.
pub(super) async fn look_up<D: Directory>(directory: &D, name: &str) -> Result<TenantId, Problem> {
    match directory.find(name).await {
        Ok(found) => found.ok_or(Problem::NOT_FOUND),
        Err(error) => {
            tracing::warn!(cause = error.source(), "{error}");
            Err(Problem::unavailable())
        }
    }
}

/// A directory that remembers what another one found, and what it did not find.
///
/// # Bounds
///
/// At most about `capacity` names are remembered that belong to somebody, and as many that do not, the
/// two apart: whoever asks for made-up names drives out other made-up names. The least used go first.
/// Found names are good for the first span and others for the second, so a new tenant is not kept
/// waiting. An outage is not remembered.
///
/// What is remembered is a wish all the same: membership is looked at by whoever acts on it.
pub struct CachedDirectory<D, C = SystemClock> {
    directory: D,
    found: Cache<String, (TenantId, DateTime<Utc>)>,
    missing: Cache<String, DateTime<Utc>>,
    keep_found: Duration,
    keep_missing: Duration,
    clock: C,
}

impl<D: Directory> CachedDirectory<D> {
    /// Remembers what `directory` says: finds for a minute, misses for five seconds.
    #[must_use]
    pub fn new(directory: D, capacity: usize) -> Self {
        let (found, missing) = (Duration::from_mins(1), Duration::from_secs(5));
        Self::with_clock(directory, capacity, found, missing, SystemClock)
    }
}

impl<D: Directory, C: Clock> CachedDirectory<D, C> {
    /// The same with other spans and another clock.
    #[must_use]
    pub fn with_clock(
        directory: D,
        capacity: usize,
        keep_found: Duration,
        keep_missing: Duration,
        clock: C,
    ) -> Self {
        let (found, missing) = (Cache::new(capacity), Cache::new(capacity));
        Self { directory, found, missing, keep_found, keep_missing, clock }
    }

    /// Forgets a name, whose tenant was renamed, made or deleted.
    pub fn forget(&self, name: &str) {
        self.found.remove(name);
        self.missing.remove(name);
    }

    /// How many names are remembered: those that belong to somebody, and those that do not.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.found.len(), self.missing.len())
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    fn is_fresh(&self, learnt: DateTime<Utc>, keep: Duration) -> bool {
        // A clock that was set back makes entries from the future, whose age is not known.
        let age = self.clock.now().signed_duration_since(learnt).to_std();
        age.is_ok_and(|age| age < keep)
    }
}

impl<D: Directory, C: Clock> Directory for CachedDirectory<D, C> {
    const NEVER_WAITS: bool = D::NEVER_WAITS;

    async fn find<'a>(&'a self, name: &'a str) -> Result<Option<TenantId>, DirectoryError> {
        if let Some((tenant, learnt)) = self.found.get(name)
            && self.is_fresh(learnt, self.keep_found)
        {
            return Ok(Some(tenant));
        }
        if let Some(learnt) = self.missing.get(name)
            && self.is_fresh(learnt, self.keep_missing)
        {
            return Ok(None);
        }
        // The age counts from the question, since the answer is as old as that.
        let asked = self.clock.now();
        let found = self.directory.find(name).await?;
        self.forget(name);
        match found {
            Some(tenant) => self.found.insert(name.to_owned(), (tenant, asked)),
            None => self.missing.insert(name.to_owned(), asked),
        }
        Ok(found)
    }
}

impl<D: fmt::Debug, C> fmt::Debug for CachedDirectory<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedDirectory")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
