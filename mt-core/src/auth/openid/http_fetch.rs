//! Fetching by HTTPS.

use std::fmt;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::fetch::{FETCH_DEADLINE, Fetch, FetchError, MAX_DOCUMENT};

/// Fetches documents by HTTPS. It follows no redirects and reads at most [`MAX_DOCUMENT`] bytes.
#[derive(Clone)]
pub struct HttpFetch(Client);

impl HttpFetch {
    /// Creates a client with the root certificates of the platform.
    ///
    /// # Errors
    ///
    /// [`FetchError::Unreachable`] when TLS cannot be set up.
    pub fn new() -> Result<Self, FetchError> {
        let client = Client::builder()
            .user_agent(concat!("mt-core/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(FETCH_DEADLINE)
            .build()
            .map_err(unreachable)?;
        Ok(Self(client))
    }
}

impl Fetch for HttpFetch {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let mut response = self.0.get(url).send().await.map_err(unreachable)?;
        if response.status().as_u16() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_DOCUMENT {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn unreachable(error: reqwest::Error) -> FetchError {
    FetchError::Unreachable(error.without_url().into())
}

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpFetch").finish_non_exhaustive()
    }
}
