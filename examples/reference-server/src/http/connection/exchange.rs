//! One request and its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper::{Request, Response};
use salvo::http::ReqBody;

use super::leftover;
use super::slots::Slot;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Answers the requests of one connection, and keeps its state.
pub(super) struct Exchanges<H> {
    handler: H,
    slot: Arc<Slot>,
    age: Duration,
}

impl<H> Exchanges<H> {
    /// Answers by `handler`. The first answer after `age` says that the connection closes.
    pub(super) const fn new(handler: H, slot: Arc<Slot>, age: Duration) -> Self {
        Self { handler, slot, age }
    }
}

impl<H, B> Service<Request<Incoming>> for Exchanges<H>
where
    H: Service<Request<ReqBody>, Response = Response<B>>,
    H::Future: Send + 'static,
    B: Send,
{
    type Response = Response<Answer<B>>;
    type Error = H::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, H::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = Exchange::begin(Arc::clone(&self.slot));
        let age = self.age;
        let (request, leftover) = leftover::watch(request);
        let answering = self.handler.call(request);
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
