use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Shared;
use crate::guard::{AnswerHeaders, Guard, View};
use crate::problem::{Problem, Reject};

/// The future of a guard that may wait. It owns what the guard borrows, which takes a box.
type Check = Pin<Box<dyn Future<Output = Checked> + Send>>;

/// What a guard leaves behind.
type Checked = (Parts, AnswerHeaders, Result<(), Problem>);

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
        headers: AnswerHeaders,
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
        let headers = AnswerHeaders::new();
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
            let (parts, verdict) = match this.state.as_mut().project() {
                StateProj::Start => {
                    let mut parts = this.parts.take().expect(TAKEN);
                    if G::NEVER_WAITS {
                        let view = View::new(&mut parts, this.headers);
                        let verdict = at_once(&this.shared.guard, view, cx);
                        (parts, verdict)
                    } else {
                        let shared = Arc::clone(this.shared);
                        let check: Check = Box::pin(async move {
                            let mut headers = AnswerHeaders::new();
                            let view = View::new(&mut parts, &mut headers);
                            let verdict = shared.guard.check(view).await;
                            (parts, headers, verdict)
                        });
                        this.state.set(State::Checking { check });
                        continue;
                    }
                }
                StateProj::Checking { check } => {
                    let (parts, headers, verdict) = ready!(check.as_mut().poll(cx));
                    *this.headers = headers;
                    (parts, verdict)
                }
                StateProj::Answering { answer } => {
                    let mut answer = ready!(answer.poll(cx))?;
                    std::mem::take(this.headers).apply(answer.headers_mut());
                    return Poll::Ready(Ok(answer));
                }
            };
            match verdict {
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
                    std::mem::take(this.headers).apply(answer.headers_mut());
                    return Poll::Ready(Ok(answer));
                }
            }
        }
    }
}

/// The verdict of a guard that has promised not to wait.
fn at_once<G: Guard>(guard: &G, view: View<'_>, cx: &mut Context<'_>) -> Result<(), Problem> {
    match pin!(guard.check(view)).poll(cx) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => {
            let guard = std::any::type_name::<G>();
            tracing::error!(guard, "a guard that never waits has waited; the request is refused");
            Err(Problem::INTERNAL)
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
