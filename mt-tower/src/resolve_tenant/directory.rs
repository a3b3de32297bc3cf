//! Tenants by name: subdomains and domains of their own.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use mt_core::id::TenantId;

use crate::problem::Problem;

/// Looks up the tenant that has a name.
///
/// `TenantDirectory` (feature `postgres`) looks up what `mt_core::pg` stores. Implement the trait for names that you keep
/// yourself.
///
/// The name comes from a client. Pass it to the database as a parameter of a statement, and to nothing
/// else. Each request asks once, so an implementation that asks a database should cache, with bounds in
/// size and age.
pub trait Directory: Send + Sync + 'static {
    /// Returns the tenant, or `None` if no tenant has this name.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails.
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Option<TenantId>, DirectoryError>> + Send + 'a;
}

impl<D: Directory> Directory for Arc<D> {
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Option<TenantId>, DirectoryError>> + Send + 'a {
        D::find(self, name)
    }
}

/// The lookup of a name failed. The request is refused with 503.
#[derive(Debug, thiserror::Error)]
#[error("the tenant's name could not be looked up")]
pub struct DirectoryError(#[source] Box<dyn Error + Send + Sync>);

impl DirectoryError {
    /// Creates the error with its cause, which is logged.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Returns the tenant of this name, or the problem to refuse with.
pub(super) async fn look_up<D: Directory>(directory: &D, name: &str) -> Result<TenantId, Problem> {
    match directory.find(name).await {
        Ok(found) => found.ok_or(Problem::NOT_FOUND),
        Err(error) => {
            tracing::warn!(cause = error.source(), "{error}");
            Err(Problem::unavailable())
        }
    }
}
