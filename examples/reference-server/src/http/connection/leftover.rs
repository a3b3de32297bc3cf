//! The part of a request's body that no handler has read.
//!
//! An answer may come before the body was read: 401, 404, 429. On a connection that is kept open the next
//! request begins after that body, so the server reads the rest of it first. It waits for a small body for a
//! short time; for any other it says `connection: close`, so that the client sends its next request on another
//! connection (RFC 9112 §9.3, §9.6).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use salvo::http::ReqBody;

/// The longest rest of a body that is read and thrown away.
const MOST: u64 = 64 * 1024;
/// How long the server waits for it.
const WAIT: Duration = Duration::from_secs(1);

/// What is left of one request's body, once its handler has ended.
pub(super) struct Leftover(Option<Arc<Mutex<Option<Rest>>>>);

struct Rest {
    body: Incoming,
    /// The client sends the body only when it is told to (RFC 9110 §10.1.1), and it has not been.
    is_held_back: bool,
}

/// Hands the request on with a body whose unread rest comes back.
pub(super) fn watch(request: Request<Incoming>) -> (Request<ReqBody>, Leftover) {
    if request.body().is_end_stream() {
        return (request.map(ReqBody::from), Leftover(None));
    }
    let is_held_back = request.headers().contains_key(EXPECT);
    let back = Arc::new(Mutex::new(None));
    let leftover = Leftover(Some(Arc::clone(&back)));
    let request = request.map(|body| ReqBody::Boxed {
        inner: Box::pin(Watched { rest: Some(Rest { body, is_held_back }), back }),
        fuse_config: None,
    });
    (request, leftover)
}

impl Leftover {
    /// Reads the rest of the body and throws it away. Returns whether the next request can follow.
    pub(super) async fn drain(self) -> bool {
        let Some(back) = self.0 else { return true };
        let rest = back.lock().unwrap_or_else(PoisonError::into_inner).take();
        match rest {
            None => true,
            Some(rest) if rest.body.is_end_stream() => true,
            Some(rest) if rest.is_held_back || rest.body.size_hint().lower() > MOST => false,
            Some(rest) => tokio::time::timeout(WAIT, read(rest.body)).await.unwrap_or(false),
        }
    }
}

/// Whether `body` ends within [`MOST`] bytes.
async fn read(mut body: Incoming) -> bool {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > MOST {
            return false;
        }
    }
    true
}

/// A body that gives its unread rest back when it is dropped.
struct Watched {
    /// `None` once it was read to its end.
    rest: Option<Rest>,
    back: Arc<Mutex<Option<Rest>>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = salvo::BoxedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        // hyper sends `100 Continue` at the first of these calls.
        rest.is_held_back = false;
        let frame = ready!(Pin::new(&mut rest.body).poll_frame(cx));
        if frame.is_none() {
            self.rest = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), |rest| rest.body.size_hint())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.rest.take();
    }
}
