//! Request bodies, bounded in size, in time and in memory.

mod budget;

use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut as _, Bytes};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use mt_tower::problem::Problem;

use self::budget::Counted;
pub use self::budget::{BodyBudget, UNCOUNTED};
use crate::problems::{invalid_request, too_large};

/// The longest body, in bytes, where nothing else is said.
pub const DEFAULT_LIMIT: u64 = 64 * 1024;

/// How long a body may take to arrive, however steadily it trickles.
const TIMEOUT: Duration = Duration::from_secs(30);

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

/// Reads the whole of `body` if it has at most `limit` bytes. `headers` are those of the request.
///
/// # Errors
///
/// `too-large` at the first byte over the limit, whatever the client declared; `unavailable` when the bodies of other
/// requests take all the room that the server has for long ones; and `invalid-request` for a body that breaks off or
/// takes longer than 30 seconds.
pub async fn read<B>(
    headers: &HeaderMap,
    body: B,
    budget: &BodyBudget,
    limit: u64,
) -> Result<Received, Problem>
where
    B: http_body::Body<Data: Buf>,
{
    let within = tokio::time::timeout(TIMEOUT, collect(headers, body, budget, limit)).await;
    within.unwrap_or_else(|_elapsed| {
        Err(invalid_request("the body did not arrive within 30 seconds"))
    })
}

async fn collect<B>(
    headers: &HeaderMap,
    body: B,
    budget: &BodyBudget,
    limit: u64,
) -> Result<Received, Problem>
where
    B: http_body::Body<Data: Buf>,
{
    let mut body = pin!(body);
    let mut counted = budget.begin();
    let declared = declared_length(headers);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut read = Vec::with_capacity(declared.unwrap_or(0).min(UNCOUNTED));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| invalid_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = read.len() + data.remaining();
        if length > limit {
            return Err(too_large());
        }
        if length > read.capacity() {
            // Twice as much each time, and no more than was declared.
            let most = declared.filter(|declared| *declared >= length).unwrap_or(limit);
            let capacity = length.max(2 * read.capacity()).min(most);
            if !counted.cover(capacity) {
                tracing::warn!(
                    "the bodies of requests take all the room that the server has for them"
                );
                return Err(Problem::unavailable());
            }
            read.reserve_exact(capacity - read.len());
        }
        read.put(data);
    }
    Ok(Received { bytes: read.into(), _counted: counted })
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
