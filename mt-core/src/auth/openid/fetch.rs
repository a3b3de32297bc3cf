//! Fetching the documents of a provider.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT: usize = 256 * 1024;

/// How long one fetch may take. After it the fetch counts as failed.
pub const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// Fetches the documents of a provider: its discovery document and its key set.
///
/// `HttpFetch` (feature `openid-http`) is ready for use. Implement the trait for another HTTP client, or for keys from
/// a file.
///
/// ```
/// use mt_core::auth::openid::{Fetch, FetchError};
///
/// /// A key set that is part of the program.
/// struct Fixed(&'static str);
///
/// impl Fetch for Fixed {
///     async fn fetch(&self, _url: &str) -> Result<Vec<u8>, FetchError> {
///         Ok(self.0.into())
///     }
/// }
/// ```
pub trait Fetch: Send + Sync + 'static {
    /// Sends a GET request to `url` and returns the body of a response with status 200.
    ///
    /// An implementation does not follow redirects, stops reading after [`MAX_DOCUMENT`] bytes, and does not retry. The
    /// caller drops the future after [`FETCH_DEADLINE`].
    ///
    /// # Errors
    ///
    /// [`FetchError`] without a response, with another status, or with a longer body.
    fn fetch(&self, url: &str) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// The error of a fetch. For logs only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The status is not 200. Redirects are not followed.
    #[error("the response has status {0}; expected 200")]
    Status(u16),
    /// The body has more than [`MAX_DOCUMENT`] bytes.
    #[error("the response has more than {MAX_DOCUMENT} bytes")]
    TooLong,
    /// There is no response, or it broke off.
    #[error("no response")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
}

/// The trait as an object.
pub(super) trait DynFetch: Send + Sync {
    fn fetch<'f>(&'f self, url: &'f str) -> BoxFetch<'f>;
}

type BoxFetch<'f> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'f>>;

impl<F: Fetch> DynFetch for F {
    fn fetch<'f>(&'f self, url: &'f str) -> BoxFetch<'f> {
        Box::pin(Fetch::fetch(self, url))
    }
}

impl<F: Fetch> Fetch for std::sync::Arc<F> {
    fn fetch(&self, url: &str) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send {
        Fetch::fetch(&**self, url)
    }
}
