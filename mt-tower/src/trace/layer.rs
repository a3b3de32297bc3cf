//! The layer and its middleware.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::SpanFuture;

/// Layer that puts each request into a span.
///
/// See the [module docs](super) for the fields of the span and an example.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct SpanLayer(());

impl SpanLayer {
    /// Creates the layer. Its spans are called `request` and have level `INFO`.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = SpanService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SpanService { inner }
    }
}

/// Middleware that puts each request into a span.
///
/// See the [module docs](super) for the fields of the span and an example.
#[derive(Clone, Debug)]
pub struct SpanService<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SpanService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SpanFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The future takes the service that `poll_ready` was called on; its clone stays behind.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        SpanFuture::new(ready, request)
    }
}
