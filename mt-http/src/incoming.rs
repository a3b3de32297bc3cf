//! The body of a request, of any HTTP library.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

/// A body whose type is hidden. Empty by default.
#[derive(Debug, Default)]
pub(crate) struct Incoming(Option<UnsyncBoxBody<Bytes, BrokenOff>>);

/// The error of a body that did not arrive whole. Why is of no use to the endpoints.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body broke off")]
pub(crate) struct BrokenOff;

impl Incoming {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data: Buf> + Send + 'static,
    {
        let body = body
            .map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
            .map_err(|_| BrokenOff);
        Self(Some(UnsyncBoxBody::new(body)))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
