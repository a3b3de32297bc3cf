//! Reading request bodies, bounded in size and in time.
//!
//! A handler that takes JSON has it as an argument ([`Body`](super::json::Body)); one that takes bytes
//! calls [`read`].

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use salvo::Request;
use salvo::http::header::CONTENT_LENGTH;

use super::body_budget::{BodyBudget, Counted, UNCOUNTED};
use super::problem::ApiError;
use super::problems;

/// The longest body, in bytes, where nothing else is said.
pub const DEFAULT_LIMIT: u64 = 64 * 1024;

/// How long a body may take to arrive, however steadily it trickles.
const TIMEOUT: Duration = Duration::from_secs(30);

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

/// A body, and its part of the [`BodyBudget`]: keep it until the bytes are dealt with.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    _counted: Counted,
}

impl Deref for Received {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads the whole body of `req` if it has at most `limit` bytes. The request's body is gone
/// afterwards.
///
/// # Errors
///
/// `too-large` at the first byte over the limit, whatever the client declared; `unavailable` when the bodies of other
/// requests take all the room that the server has for long ones; and `invalid-request` for a body that breaks off or
/// takes longer than 30 seconds.
pub async fn read(req: &mut Request, limit: u64) -> Result<Received, ApiError> {
    let within = tokio::time::timeout(TIMEOUT, collect(req, limit)).await;
    within.unwrap_or_else(|_elapsed| {
        Err(ApiError::invalid_request("the body did not arrive within 30 seconds"))
    })
}

async fn collect(req: &mut Request, limit: u64) -> Result<Received, ApiError> {
    let budget = req.extensions().get::<BodyBudget>().cloned().unwrap_or_default();
    let mut counted = budget.begin();
    let declared = declared_length(req);
    let mut body = req.take_body();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut read = Vec::with_capacity(declared.unwrap_or(0).min(UNCOUNTED));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| ApiError::invalid_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = read.len() + data.len();
        if length > limit {
            return Err(ApiError::new(&problems::TOO_LARGE));
        }
        if length > read.capacity() {
            // Twice as much each time, and no more than was declared.
            let most = declared.filter(|declared| *declared >= length).unwrap_or(limit);
            let capacity = length.max(2 * read.capacity()).min(most);
            if !counted.cover(capacity) {
                tracing::warn!(
                    "the bodies of requests take all the room that the server has for them"
                );
                return Err(ApiError::new(&problems::UNAVAILABLE));
            }
            read.reserve_exact(capacity - read.len());
        }
        read.extend_from_slice(&data);
    }
    Ok(Received { bytes: read.into(), _counted: counted })
}

fn declared_length(req: &Request) -> Option<usize> {
    req.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
