//! The future of a request in its span.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use super::RequestSpan;
use crate::problem::Problem;

pin_project! {
    /// Response future of [`SpanService`](super::SpanService).
    pub struct SpanFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        service: S,
        request: Option<Request<B>>,
        #[pin]
        answer: Option<S::Future>,
        span: Span,
    }
}

impl<S, B> SpanFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(service: S, request: Request<B>) -> Self {
        Self { service, request: Some(request), answer: None, span: Span::none() }
    }
}

impl<S, B, ResBody> Future for SpanFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(mut request) = this.request.take() {
            *this.span = span(&request);
            if !this.span.is_disabled() {
                request.extensions_mut().insert(RequestSpan(this.span.clone()));
            }
            let answer = this.span.in_scope(|| this.service.call(request));
            this.answer.set(Some(answer));
        }
        let entered = this.span.enter();
        let answer = this.answer.as_pin_mut().expect("it was called with the request");
        let answer = ready!(answer.poll(cx));
        drop(entered);
        if let Ok(answer) = &answer {
            this.span.record("http.response.status_code", answer.status().as_u16());
            if let Some(problem) = answer.extensions().get::<Problem>() {
                this.span.record("problem.code", problem.code());
            }
        }
        Poll::Ready(answer)
    }
}

fn span<B>(request: &Request<B>) -> Span {
    tracing::info_span!(
        "request",
        http.request.method = %request.method(),
        http.response.status_code = Empty,
        principal.id = Empty,
        problem.code = Empty,
        tenant.id = Empty,
    )
}

impl<S, B> fmt::Debug for SpanFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanFuture").field("span", &self.span).finish_non_exhaustive()
    }
}
