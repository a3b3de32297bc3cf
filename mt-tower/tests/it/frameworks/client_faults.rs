//! Disconnects, panics, streaming bodies and shared counts, under each framework.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use mt_core::id::TenantId;
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::problem::Problem;
use mt_tower::rate_limit::RateLimit;
use mt_tower::resolve_tenant::{PathTemplate, ResolveTenant};
use mt_tower::{Guard, RequestContext};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Framework;
use super::axum::Axum;
use super::client::{Client, post};
use super::hyper::Hyper;
use super::salvo::Salvo;
use crate::support::{Closed, Counter, Open};

/// A timeout for the whole test, so that a hanging test fails.
const TIMEOUT: Duration = Duration::from_secs(10);

const PATH: &str = "/orgs/01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20/echo";
const ORG: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";

async fn a_refusal_does_not_reach_the_handler<F: Framework>() {
    let reached = Counter::default();
    let server = F::serve(Closed(Problem::FORBIDDEN), reached.clone()).await;
    let refused = post(&server, PATH).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert!(refused.body().starts_with(br#"{"type":"/problems/forbidden""#), "{refused:?}");
    assert_eq!(reached.value(), 0);
    // The control: the same server with a guard that lets it pass.
    let server = F::serve(Open, reached.clone()).await;
    assert_eq!(post(&server, PATH).await.unwrap().body(), "hello");
    assert_eq!(reached.value(), 1);
}

async fn guard_extensions_reach_the_handler<F: Framework>() {
    let template = PathTemplate::new("/orgs/{tenant}").unwrap();
    let server = F::serve(ResolveTenant::new(template), Counter::default()).await;
    for _ in 0..3 {
        assert_eq!(post(&server, PATH).await.unwrap().headers()["x-tenant"], ORG);
    }
    assert_eq!(post(&server, "/orgs/acme/echo").await.unwrap().status(), 404);
}

async fn bodies_stream_through_in_both_directions<F: Framework>() {
    let server = F::serve(Open, Counter::default()).await;
    let mut client = Client::connect(&server).await;
    let (mut sending, answer) = client.post(PATH);
    let exchange = async move {
        let (answer, first) = tokio::join!(answer, sending.send_data(Bytes::from_static(b"one")));
        first.unwrap();
        let mut body = answer.unwrap().into_body();
        // The first is back before the second is sent: nothing buffers the whole body.
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        sending.send_data(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        drop(sending);
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
    };
    timeout(TIMEOUT, exchange).await.expect("nothing is held back");
}

/// A guard that waits forever, and notifies when a check begins and when it is dropped.
#[derive(Clone, Default)]
struct Waiting {
    begun: Arc<Notify>,
    ended: Arc<Notify>,
}

impl Guard for Waiting {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        struct OnDrop(Arc<Notify>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        if request.uri.query() == Some("wait") {
            let _ended = OnDrop(Arc::clone(&self.ended));
            self.begun.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn disconnect_cancels_only_the_clients_own_check<F: Framework>() {
    let (waiting, reached) = (Waiting::default(), Counter::default());
    let server = F::serve(waiting.clone(), reached.clone()).await;
    for _ in 0..3 {
        let mut client = Client::connect(&server).await;
        let (sending, answer) = client.post(&format!("{PATH}?wait"));
        // A server that waits for more of a body does not notice a disconnected client.
        drop(sending);
        let asked = tokio::spawn(answer);
        timeout(TIMEOUT, waiting.begun.notified()).await.expect("the check begins");
        // Others get their answers meanwhile.
        assert_eq!(post(&server, PATH).await.unwrap().status(), 200);
        drop(client);
        assert!(asked.await.unwrap().is_err());
        timeout(TIMEOUT, waiting.ended.notified()).await.expect("the check is dropped");
    }
    assert_eq!(reached.value(), 3, "the others'");
}

async fn panic_in_a_closure_fails_one_request<F: Framework>() {
    let resolver = |request: &RequestContext<'_>| {
        assert_ne!(request.uri.query(), Some("panic"));
        Some(TenantId::generate())
    };
    let server = F::serve(ResolveTenant::new(resolver), Counter::default()).await;
    for _ in 0..3 {
        match post(&server, &format!("{PATH}?panic")).await {
            Ok(answer) => assert_eq!(answer.status(), 500),
            Err(error) => assert!(error.is_incomplete_message(), "{error:?}"),
        }
        assert_eq!(post(&server, PATH).await.unwrap().status(), 200);
    }
}

async fn connections_share_what_a_guard_counts<F: Framework>() {
    let by_path = |request: &RequestContext<'_>| Ok::<_, Problem>(request.uri.path().to_owned());
    let two = Quota::per_hour(NonZeroU32::new(2).unwrap());
    let limit = RateLimit::new("echo", InProcessLimiter::new(), by_path, two);
    let server = F::serve(limit, Counter::default()).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = post(&server, PATH).await.unwrap();
        let left = answer.headers()["ratelimit"].to_str().unwrap()[..11].to_owned();
        answers.push((answer.status().as_u16(), left));
    }
    let expected = [(200, "\"echo\";r=1;"), (200, "\"echo\";r=0;"), (429, "\"echo\";r=0;")];
    assert_eq!(answers, expected.map(|(status, left)| (status, left.to_owned())));
}

macro_rules! under {
    ($($framework:ident: $module:ident),+) => {
        $(mod $module {
            use super::*;

            under!(@ $framework:
                a_refusal_does_not_reach_the_handler,
                guard_extensions_reach_the_handler,
                bodies_stream_through_in_both_directions,
                disconnect_cancels_only_the_clients_own_check,
                panic_in_a_closure_fails_one_request,
                connections_share_what_a_guard_counts
            );
        })+
    };
    (@ $framework:ident: $($adversity:ident),+) => {
        $(#[tokio::test]
        async fn $adversity() {
            super::$adversity::<$framework>().await;
        })+
    };
}

under!(Axum: in_axum, Hyper: in_hyper, Salvo: in_salvo);
