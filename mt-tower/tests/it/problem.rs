//! The bytes of every problem document that the library makes.

use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use mt_core::access::{AccessError, Denied};
use mt_tower::layer::GuardLayer;
use mt_tower::problem::{FieldError, Problem};
use mt_tower::request_id::{RequestId, X_REQUEST_ID};

use crate::support::{Closed, having, request, send};

/// Status, headers in order of name, and body.
fn rendered(problem: Problem) -> String {
    let answer = problem.into_response::<Bytes>(None);
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let body = std::str::from_utf8(answer.body()).unwrap();
    format!("{}\n{}{body}", answer.status().as_u16(), headers.concat())
}

/// The id of a request whose client sent this one.
fn id(given: &'static str) -> RequestId {
    let mut headers = HeaderMap::new();
    headers.insert(X_REQUEST_ID, HeaderValue::from_static(given));
    RequestId::choose(&headers)
}

#[test]
fn every_problem_is_rendered_in_full() {
    let json = "content-type: application/problem+json\n";
    for (problem, expected) in [
        (
            Problem::UNAUTHENTICATED,
            format!(
                "401\n{json}www-authenticate: Bearer\n{}",
                r#"{"type":"/problems/unauthenticated","title":"Authentication required","status":401,"code":"unauthenticated"}"#
            ),
        ),
        (
            Problem::invalid_token(),
            format!(
                "401\n{json}www-authenticate: Bearer error=\"invalid_token\"\n{}",
                r#"{"type":"/problems/unauthenticated","title":"Authentication required","status":401,"code":"unauthenticated"}"#
            ),
        ),
        (
            Problem::BILLING_REQUIRED,
            format!(
                "402\n{json}{}",
                r#"{"type":"/problems/billing-required","title":"Payment required","status":402,"code":"billing-required"}"#
            ),
        ),
        (
            Problem::FORBIDDEN,
            format!(
                "403\n{json}{}",
                r#"{"type":"/problems/forbidden","title":"Not allowed","status":403,"code":"forbidden"}"#
            ),
        ),
        (
            Problem::TENANT_SUSPENDED,
            format!(
                "403\n{json}{}",
                r#"{"type":"/problems/tenant-suspended","title":"Suspended","status":403,"code":"tenant-suspended"}"#
            ),
        ),
        (
            Problem::NOT_FOUND,
            format!(
                "404\n{json}{}",
                r#"{"type":"/problems/not-found","title":"Not found","status":404,"code":"not-found"}"#
            ),
        ),
        (
            Problem::rate_limited(Duration::from_millis(1001)),
            format!(
                "429\n{json}retry-after: 2\n{}",
                r#"{"type":"/problems/rate-limited","title":"Too many requests","status":429,"code":"rate-limited"}"#
            ),
        ),
        (
            Problem::INTERNAL,
            format!(
                "500\n{json}{}",
                r#"{"type":"/problems/internal","title":"Internal error","status":500,"code":"internal"}"#
            ),
        ),
        (
            Problem::unavailable(),
            format!(
                "503\n{json}retry-after: 5\n{}",
                r#"{"type":"/problems/unavailable","title":"Temporarily unavailable","status":503,"code":"unavailable"}"#
            ),
        ),
    ] {
        assert_eq!(rendered(problem), expected);
    }
}

#[test]
fn optional_members_are_rendered_in_order() {
    let problem = Problem::new(StatusCode::CONFLICT, "last-owner", "Last owner")
        .with_detail("say \"no\"")
        .with_errors(vec![FieldError::new("/role", "must stay")])
        .with_member("role", "owner");
    let answer = problem.into_response::<Bytes>(Some(&id("r-1")));
    assert_eq!(
        answer.body(),
        concat!(
            r#"{"type":"/problems/last-owner","title":"Last owner","status":409,"#,
            r#""detail":"say \"no\"","code":"last-owner","request_id":"r-1","#,
            r#""errors":[{"pointer":"/role","detail":"must stay"}],"role":"owner"}"#
        )
    );
}

#[test]
fn retry_after_is_at_least_a_second() {
    assert!(rendered(Problem::rate_limited(Duration::ZERO)).contains("retry-after: 1\n"));
}

#[test]
#[should_panic(expected = "`code` is taken")]
fn members_that_every_problem_has_cannot_be_added() {
    let _ = Problem::INTERNAL.with_member("code", "mine");
}

#[test]
fn a_wait_replaces_the_one_that_was_set() {
    let problem = Problem::unavailable().with_retry_after(Duration::from_secs(9));
    let waits: Vec<_> = problem.headers().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(waits, ["9"]);
}

#[test]
#[should_panic(expected = "4xx or 5xx")]
fn a_problem_cannot_be_a_success() {
    let _ = Problem::new(StatusCode::OK, "ok", "Fine");
}

#[test]
fn reasons_become_problems() {
    let boxed = || "connection refused".into();
    for (problem, same_as) in [
        (Problem::from(Denied::Forbidden), Problem::FORBIDDEN),
        (Problem::from(Denied::NotAMember), Problem::NOT_FOUND),
        (Problem::from(Denied::PaymentRequired), Problem::BILLING_REQUIRED),
        (Problem::from(Denied::Suspended), Problem::TENANT_SUSPENDED),
        (Problem::from(AccessError::NotAMember), Problem::NOT_FOUND),
        (Problem::from(AccessError::SignedOut), Problem::invalid_token()),
        (Problem::from(AccessError::Unavailable(boxed())), Problem::unavailable()),
        (Problem::from(AccessError::Internal(boxed())), Problem::INTERNAL),
    ] {
        assert_eq!(problem, same_as);
        assert!(!rendered(problem).contains("connection"), "causes are for logs");
    }
}

#[tokio::test]
async fn the_request_id_comes_from_the_request() {
    let layer = GuardLayer::new(Closed(Problem::NOT_FOUND));
    let with_id = request("/", having(id("r-7")));
    assert_eq!(send(&layer, with_id).await.json()["request_id"], "r-7");
    assert!(send(&layer, request("/", |_| {})).await.json().get("request_id").is_none());
}

#[tokio::test]
async fn an_embedder_replaces_code_and_shape() {
    let renamed = |problem: &Problem, request: &Extensions| -> Response<_> {
        assert_eq!(problem.code(), "tenant-suspended");
        problem
            .clone()
            .with_type("org-suspended", "The org is suspended")
            .into_response(request.get())
    };
    let layer = GuardLayer::with_reject(Closed(Problem::TENANT_SUSPENDED), renamed);
    // `refused` checks that body and extension agree on the new code.
    assert_eq!(send(&layer, request("/", |_| {})).await.refused(), "org-suspended");

    let bare = |problem: &Problem, _: &Extensions| {
        Response::builder().status(problem.status()).body(Full::default()).unwrap()
    };
    let layer = GuardLayer::with_reject(Closed(Problem::FORBIDDEN), bare);
    let outcome = send(&layer, request("/", |_| {})).await;
    assert_eq!((outcome.status(), outcome.answer.body().len()), (403, 0));
    assert_eq!(outcome.answer.extensions().get(), Some(&Problem::FORBIDDEN));
}
