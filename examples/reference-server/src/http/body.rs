//! Reading request bodies, bounded in size and in time.
//!
//! A handler that takes JSON has it as an argument ([`Body`](super::json::Body)); one that takes bytes
//! calls [`read`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use salvo::Request;

use super::problem::ApiError;
use super::problems;

/// The longest body, in bytes, where nothing else is said.
pub const DEFAULT_LIMIT: u64 = 64 * 1024;

/// How long a body may take to arrive, however steadily it trickles.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest body for each path, in bytes. Inclusive.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    default: u64,
    exceptions: Vec<(&'static str, u64)>,
}

impl BodyLimits {
    /// Allows `limit` bytes on exactly `path`.
    #[must_use]
    pub fn with(mut self, path: &'static str, limit: u64) -> Self {
        self.exceptions.push((path, limit));
        self
    }

    /// The limit of `path`.
    #[must_use]
    pub fn of(&self, path: &str) -> u64 {
        let exception = self.exceptions.iter().find(|(held, _)| *held == path);
        exception.map_or(self.default, |(_, limit)| *limit)
    }
}

impl Default for BodyLimits {
    /// [`DEFAULT_LIMIT`] everywhere.
    fn default() -> Self {
        Self { default: DEFAULT_LIMIT, exceptions: Vec::new() }
    }
}

/// Reads the whole body of `req` if it has at most `limit` bytes. The request's body is gone
/// afterwards.
///
/// # Errors
///
/// `too-large` at the first byte over the limit, whatever the client declared, and
/// `invalid-request` for a body that breaks off or takes longer than 30 seconds.
pub async fn read(req: &mut Request, limit: u64) -> Result<Bytes, ApiError> {
    let within = tokio::time::timeout(PATIENCE, collect(req, limit)).await;
    within.unwrap_or_else(|_elapsed| {
        Err(ApiError::invalid_request("the body did not arrive within 30 seconds"))
    })
}

async fn collect(req: &mut Request, limit: u64) -> Result<Bytes, ApiError> {
    let mut body = req.take_body();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| ApiError::invalid_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if (read.len() + data.len()) as u64 > limit {
            return Err(ApiError::new(&problems::TOO_LARGE));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}
