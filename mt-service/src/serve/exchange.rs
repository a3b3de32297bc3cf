//! One request and its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;

use super::body::{self, RequestBody};
use super::slots::Slot;
use super::timeouts::Timeouts;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Answers the requests of one connection, and keeps its state.
pub(super) struct Exchanges<H> {
    handler: H,
    slot: Arc<Slot>,
    timeouts: Timeouts,
}

impl<H> Exchanges<H> {
    /// Answers by `handler`. The first answer after the connection's `age` says that it closes.
    pub(super) const fn new(handler: H, slot: Arc<Slot>, timeouts: Timeouts) -> Self {
        Self { handler, slot, timeouts }
    }
}

impl<H, A, B, E> Service<Request<Incoming>> for Exchanges<H>
where
    H: Fn(Request<RequestBody>) -> A,
    A: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Send,
{
    type Response = Response<Answer<B>>;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, E>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = Exchange::begin(Arc::clone(&self.slot));
        let age = self.timeouts.age;
        let (request, leftover) = body::watch(request, self.timeouts.body);
        let answering = (self.handler)(request);
        Box::pin(async move {
            let mut response = answering.await?;
            let slot = &exchange.0;
            if !leftover.drain().await {
                slot.linger();
                response.headers_mut().insert(CONNECTION, CLOSE);
            } else if slot.is_older_than(age) {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Ok(response.map(|body| Answer { body, _exchange: exchange }))
        })
    }
}

/// Lasts from a request's head to the last byte of its answer.
struct Exchange(Arc<Slot>);

impl Exchange {
    fn begin(slot: Arc<Slot>) -> Self {
        slot.begin_exchange();
        Self(slot)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.end_exchange();
    }
}

/// An answer's body. hyper drops it when it has taken the last byte.
pub(super) struct Answer<B> {
    body: B,
    _exchange: Exchange,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
