//! The contract of the layer with tower services: readiness, cancellation, panics and clones.

use std::convert::Infallible;
use std::future::{Future as _, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::support::{Closed, Counter, Open, having, request, send};

type Empty = Full<Bytes>;

fn assert_fit_for_servers<T: Clone + Send + Sync + 'static>(_: &T) {}
fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn a_refusal_does_not_reach_the_service() {
    let refused = send(&GuardLayer::new(Closed(Problem::FORBIDDEN)), request("/", |_| {})).await;
    assert_eq!(refused.refused(), "forbidden");
    // The control: the same request, the same service, a guard that lets it pass.
    let passed = send(&GuardLayer::new(Open), request("/", |_| {})).await;
    assert_eq!(passed.status(), 200);
    assert!(passed.reached.is_some());
    assert!(passed.answer.extensions().get::<Problem>().is_none());
}

/// Answers only when it was made ready first, and its clones were not.
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Empty>> for Strict {
    type Response = Response<Empty>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without `poll_ready`");
        ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_called() {
    let mut service = GuardLayer::new(Open).layer(Strict { ready: false });
    assert_fit_for_servers(&service);
    for _ in 0..3 {
        let answer = service.ready().await.unwrap().call(Request::default());
        assert_eq!(assert_send(answer).await.unwrap().status(), StatusCode::OK);
    }
    // The control: `Strict` does notice.
    let unready =
        AssertUnwindSafe(|| drop(Strict { ready: true }.clone().call(Request::default())));
    assert!(catch_unwind(unready).is_err());
}

#[tokio::test]
async fn layer_waits_until_the_service_is_ready() {
    #[derive(Clone)]
    struct Never;
    impl Service<Request<Empty>> for Never {
        type Response = Response<Empty>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Request<Empty>) -> Self::Future {
            pending()
        }
    }
    let mut service = GuardLayer::new(Closed(Problem::FORBIDDEN)).layer(Never);
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_pending());
}

/// Counts how many checks begin, and how many are dropped or finish; never decides.
struct Undecided {
    begun: Counter,
    ended: Counter,
}

struct OnDrop(Counter);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

impl Guard for Undecided {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        let _ended = OnDrop(self.ended.clone());
        self.begun.add();
        pending().await
    }
}

#[test]
fn work_begins_with_the_first_poll_and_ends_with_the_drop() {
    let (begun, ended) = (Counter::default(), Counter::default());
    let layer = GuardLayer::new(Undecided { begun: begun.clone(), ended: ended.clone() });
    let inner = service_fn(async |_: Request<Empty>| -> Result<Response<Empty>, Infallible> {
        unreachable!("the guard never decides")
    });
    let mut service = layer.layer(inner);
    let mut context = Context::from_waker(Waker::noop());

    let mut answer = Box::pin(service.call(Request::default()));
    assert_eq!(begun.value(), 0, "`call` only moves");
    assert!(answer.as_mut().poll(&mut context).is_pending());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    assert_eq!((begun.value(), ended.value()), (1, 0));
    drop(answer);
    assert_eq!(ended.value(), 1);
    drop(service.call(Request::default()));
    assert_eq!(begun.value(), 1, "dropped before it was polled");
}

/// Panics when the request asks for it.
struct Fragile;

impl Guard for Fragile {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        assert_ne!(request.uri.path(), "/panic");
        Ok(())
    }
}

#[tokio::test]
async fn panic_in_a_guard_fails_one_request() {
    let inner =
        service_fn(async |_: Request<Empty>| Ok::<_, Infallible>(Response::<Empty>::default()));
    let mut service = GuardLayer::new(Fragile).layer(inner);
    // Not in `call`, where it would end a worker that serves every request.
    let spoilt = service.call(request("/panic", |_| {}));
    assert!(tokio::spawn(spoilt).await.unwrap_err().is_panic());
    let next = service.call(request("/", |_| {})).await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
}

#[tokio::test]
async fn panic_in_a_reject_fails_one_request() {
    let reject = |problem: &Problem, request: &Extensions| -> Response<Empty> {
        assert!(request.get::<u8>().is_none());
        problem.clone().into_response(None)
    };
    let layer = GuardLayer::with_reject(Closed(Problem::FORBIDDEN), reject);
    let inner =
        service_fn(async |_: Request<Empty>| Ok::<_, Infallible>(Response::<Empty>::default()));
    let mut service = layer.layer(inner);
    let spoilt = service.call(request("/", having(1_u8)));
    assert!(tokio::spawn(spoilt).await.unwrap_err().is_panic());
    let next = service.call(request("/", |_| {})).await.unwrap();
    assert_eq!(next.status(), StatusCode::FORBIDDEN);
}

/// Lets one request pass.
struct Once(Counter);

impl Guard for Once {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        self.0.add();
        if self.0.value() == 1 { Ok(()) } else { Err(Problem::FORBIDDEN) }
    }
}

#[tokio::test]
async fn clones_of_layer_and_service_share_the_guard() {
    let layer = GuardLayer::new(Once(Counter::default()));
    let inner =
        service_fn(async |_: Request<Empty>| Ok::<_, Infallible>(Response::<Empty>::default()));
    let first = layer.layer(inner);
    let mut statuses = Vec::new();
    for service in [first.clone(), first, layer.clone().layer(inner)] {
        statuses.push(service.oneshot(Request::default()).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 403, 403]);
}

/// A body that is neither `Clone` nor `Unpin` nor made of bytes in memory, and counts its frames.
struct Ticks {
    left: u8,
    polled: Counter,
    _pinned: std::marker::PhantomPinned,
}

impl Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polled.add();
        let left = self.left;
        Poll::Ready(
            left.checked_sub(u8::try_from(self.polled.value()).unwrap())
                .map(|left| Ok(Frame::data(Bytes::from(vec![left])))),
        )
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.into())
    }
}

#[tokio::test]
async fn bodies_pass_untouched_in_both_directions() {
    // No `From<Bytes>` for `Ticks`: the embedder says how a refusal looks.
    let reject = |_: &Problem, _: &Extensions| -> Response<Ticks> { unreachable!("all pass") };
    let echo = service_fn(async |request: Request<Ticks>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let polled = Counter::default();
    let body = Ticks { left: 3, polled: polled.clone(), _pinned: std::marker::PhantomPinned };
    let service = GuardLayer::with_reject(Open, reject).layer(echo);
    let answer = service.oneshot(Request::new(body)).await.unwrap();
    assert_eq!(polled.value(), 0, "the guard read no part of the body");
    assert_eq!(answer.body().size_hint().exact(), Some(3));
    let collected = pin!(answer.into_body()).collect().await.unwrap().to_bytes();
    assert_eq!(collected.as_ref(), [2, 1, 0]);
}

#[tokio::test]
async fn errors_of_the_service_come_through() {
    let broken = service_fn(async |_: Request<Empty>| Err::<Response<Empty>, _>("broken"));
    let answer = GuardLayer::new(Open).layer(broken).oneshot(Request::default()).await;
    assert_eq!(answer.unwrap_err(), "broken");
}

/// Adds a header to every answer.
struct Label(&'static str);

impl Guard for Label {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let name = http::HeaderName::from_static("x-label");
        request.response_headers.append(name, http::HeaderValue::from_static(self.0));
        Ok(())
    }
}

#[tokio::test]
async fn guard_headers_are_on_every_response() {
    let inner = service_fn(async |_: Request<Empty>| {
        Ok::<_, Infallible>(
            Response::builder().header("x-label", "own").body(Empty::default()).unwrap(),
        )
    });
    let labels = |answer: Response<Empty>| -> Vec<String> {
        answer.headers().get_all("x-label").iter().map(|v| v.to_str().unwrap().into()).collect()
    };
    let outer = GuardLayer::new(Label("outer"));
    let both = outer.layer(GuardLayer::new(Label("inner")).layer(inner));
    assert_eq!(labels(both.oneshot(Request::default()).await.unwrap()), ["own", "inner", "outer"]);
    let refused = outer.layer(GuardLayer::new(Closed(Problem::NOT_FOUND)).layer(inner));
    assert_eq!(labels(refused.oneshot(Request::default()).await.unwrap()), ["outer"]);
}
