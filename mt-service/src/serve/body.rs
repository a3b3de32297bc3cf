//! The body of a request, and the part of it that no handler has read.
//!
//! An answer may come before the body was read: 401, 404, 429. On a connection that is kept open the next
//! request begins after that body, so the server reads the rest of it first. It waits for a small body for a
//! short time; for any other it says `connection: close`, so that the client sends its next request on another
//! connection (RFC 9112 §9.3, §9.6).

use std::fmt;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

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

/// Hands the request on with a body whose unread rest comes back. Between two pieces of it the client may pause for
/// `pause`.
pub(super) fn watch(
    request: Request<Incoming>,
    pause: Duration,
) -> (Request<RequestBody>, Leftover) {
    let pause = Pause::new(pause);
    if request.body().is_end_stream() {
        return (request.map(|_| RequestBody { rest: None, back: None, pause }), Leftover(None));
    }
    let is_held_back = request.headers().contains_key(EXPECT);
    let back = Arc::new(Mutex::new(None));
    let leftover = Leftover(Some(Arc::clone(&back)));
    let request = request.map(|body| RequestBody {
        rest: Some(Rest { body, is_held_back }),
        back: Some(back),
        pause,
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

/// The body of a request, as its client sends it.
///
/// It fails with [`ErrorKind::TimedOut`] when the client pauses for longer than [`Timeouts::body`], and with another
/// kind when the client breaks off.
///
/// [`Timeouts::body`]: super::Timeouts::body
pub struct RequestBody {
    /// `None` once it was read to its end.
    rest: Option<Rest>,
    /// Where an unread rest goes when this is dropped.
    back: Option<Arc<Mutex<Option<Rest>>>>,
    pause: Pause,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        // hyper sends `100 Continue` at the first of these calls.
        rest.is_held_back = false;
        let frame = Pin::new(&mut rest.body).poll_frame(cx).map_err(Error::other);
        if matches!(frame, Poll::Ready(None)) {
            self.rest = None;
        }
        if self.pause.is_over(frame.is_pending(), cx) {
            let error = Error::new(ErrorKind::TimedOut, "the client pauses within a body");
            return Poll::Ready(Some(Err(error)));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), |rest| rest.body.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(back) = &self.back {
            *back.lock().unwrap_or_else(PoisonError::into_inner) = self.rest.take();
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

/// The pause of a client between two pieces of a body. It counts while a handler waits for the body.
struct Pause {
    longest: Duration,
    is_waited_for: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pause {
    const fn new(longest: Duration) -> Self {
        Self { longest, is_waited_for: false, timer: None }
    }

    /// Whether the pause is too long, also if it has ended since. Otherwise, while it lasts, the task is woken then.
    fn is_over(&mut self, is_pending: bool, cx: &mut Context<'_>) -> bool {
        let was_waited_for = std::mem::replace(&mut self.is_waited_for, is_pending);
        if !is_pending && !was_waited_for {
            return false;
        }
        let deadline = || Instant::now() + self.longest;
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline())));
        if !was_waited_for {
            timer.as_mut().reset(deadline());
        }
        timer.as_mut().poll(cx).is_ready()
    }
}
