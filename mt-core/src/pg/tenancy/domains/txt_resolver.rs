//! Reading TXT records.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

/// Reads TXT records from DNS. `DnsResolver` does (feature `dns`).
///
/// It must ask a resolver that the service trusts: an attacker who forges its answers verifies any domain.
pub trait TxtResolver: Send + Sync {
    /// Returns the TXT records of `name`, each with its strings joined. A name without records, or that does not
    /// exist, has none.
    ///
    /// `name` is a domain name from the root, without the last dot. An implementation has a deadline of its own.
    ///
    /// # Errors
    ///
    /// [`DnsError`] if DNS did not say whether there are records.
    fn txt_records<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Vec<String>, DnsError>> + Send + 'a;
}

impl<R: TxtResolver> TxtResolver for Arc<R> {
    fn txt_records<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Future<Output = Result<Vec<String>, DnsError>> + Send + 'a {
        R::txt_records(self, name)
    }
}

/// DNS did not answer, or answered that it failed. Try again later.
#[derive(Debug, thiserror::Error)]
#[error("the domain's DNS did not answer")]
pub struct DnsError(#[source] Box<dyn Error + Send + Sync>);

impl DnsError {
    /// Creates the error with its cause, for logs.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
