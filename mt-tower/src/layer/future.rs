use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Shared;
use crate::guard::{Guard, RequestContext, ResponseHeaders};
use crate::problem::{Problem, Reject};

/// The future of a check. It owns the parts that the guard borrows, which takes one box for the whole tuple of guards.
type Check = Pin<Box<dyn Future<Output = Checked> + Send>>;

/// What a guard leaves behind.
type Checked = (Parts, ResponseHeaders, Result<(), Problem>);

const TAKEN: &str = "each part of the request is taken once";

pin_project! {
    /// Response future of [`GuardService`](super::GuardService).
    pub struct ResponseFuture<S, G, J, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future>,
        parts: Option<Parts>,
        body: Option<B>,
        headers: ResponseHeaders,
        service: S,
        shared: Arc<Shared<G, J>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Start,
        Checking { check: Check },
        Answering { #[pin] answer: F },
    }
}

impl<S, G, J, B> ResponseFuture<S, G, J, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(request: Request<B>, service: S, shared: Arc<Shared<G, J>>) -> Self {
        let (parts, body) = request.into_parts();
        let headers = ResponseHeaders::new();
        Self { state: State::Start, parts: Some(parts), body: Some(body), headers, service, shared }
    }
}

impl<S, G, J, B, ResBody> Future for ResponseFuture<S, G, J, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    G: Guard,
    J: Reject<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (parts, checked) = match this.state.as_mut().project() {
                StateProj::Start => {
                    let mut parts = this.parts.take().expect(TAKEN);
                    let shared = Arc::clone(this.shared);
                    let check: Check = Box::pin(async move {
                        let mut headers = ResponseHeaders::new();
                        let request = RequestContext::new(&mut parts, &mut headers);
                        let checked = shared.guard.check(request).await;
                        (parts, headers, checked)
                    });
                    this.state.set(State::Checking { check });
                    continue;
                }
                StateProj::Checking { check } => {
                    let (parts, headers, checked) = ready!(check.as_mut().poll(cx));
                    *this.headers = headers;
                    (parts, checked)
                }
                StateProj::Answering { answer } => {
                    let mut answer = ready!(answer.poll(cx))?;
                    std::mem::take(this.headers).append_to(answer.headers_mut());
                    return Poll::Ready(Ok(answer));
                }
            };
            match checked {
                Ok(()) => {
                    let body = this.body.take().expect(TAKEN);
                    let answer = this.service.call(Request::from_parts(parts, body));
                    this.state.set(State::Answering { answer });
                }
                Err(problem) => {
                    let mut answer = this.shared.reject.reject(&problem, &parts.extensions);
                    if answer.extensions().get::<Problem>().is_none() {
                        answer.extensions_mut().insert(problem);
                    }
                    std::mem::take(this.headers).append_to(answer.headers_mut());
                    return Poll::Ready(Ok(answer));
                }
            }
        }
    }
}

impl<S, G, J, B> fmt::Debug for ResponseFuture<S, G, J, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
