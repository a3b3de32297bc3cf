//! Errors, panics, refusals, and input that is not HTTP.

use mt_salvo::GuardHandler;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};
use salvo::http::HeaderValue;
use salvo::prelude::*;

use super::{JSON, fields, routes};
use crate::support::raw_http::TestService;

#[tokio::test]
async fn every_error_becomes_a_problem() {
    let server = TestService::start(routes()).await;
    for (how, status, code) in [
        ("status-error", 400, "invalid-request"),
        ("html", 403, "forbidden"),
        ("text", 500, "internal"),
        ("empty", 409, "conflict"),
        ("teapot", 400, "invalid-request"),
        ("gateway", 500, "internal"),
    ] {
        let reply = server.ask(&format!("GET /fails?how={how}"), "", "").await;
        reply.assert_problem(status, code);
        assert!(!reply.body.contains("internals"), "{how}: {reply:?}");
    }
    server.stop().await;
}

/// Announces a quota, and refuses or panics when asked to.
struct Announce;

impl Guard for Announce {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        match request.uri.query() {
            Some("refuse") => Err(Problem::NOT_FOUND),
            Some("panic") => panic!("a guard fell over"),
            _ => {
                request.response_headers.append(
                    salvo::http::HeaderName::from_static("ratelimit"),
                    HeaderValue::from_static("\"a\";r=1;t=1"),
                );
                Ok(())
            }
        }
    }
}

#[tokio::test]
async fn panic_fails_one_response_and_keeps_the_connection() {
    let router = Router::new().hoop(GuardHandler::new(Announce)).push(routes());
    let server = TestService::start(router).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        let reply = connection.ask("GET /panics", "x-request-id: mine\r\n", "").await;
        reply.assert_problem(500, "internal");
        assert!(!reply.body.contains("secret"), "{reply:?}");
        assert_eq!(reply.header("x-request-id"), Some("mine"));
        // What the handler had begun is gone, what a guard had promised is not.
        assert_eq!(reply.header("x-of-the-handler"), None);
        assert_eq!(reply.header("ratelimit"), Some("\"a\";r=1;t=1"));
        assert_eq!(connection.ask("GET /works", "", "").await.body, "works");
    }
    let reply = connection.ask("GET /works?panic", "x-request-id: mine\r\n", "").await;
    reply.assert_problem(500, "internal");
    let head = connection.ask("HEAD /works?panic", "", "").await;
    assert_eq!(head.status, 500);
    assert_eq!(connection.ask("GET /works", "", "").await.body, "works");
    server.stop().await;
}

#[tokio::test]
async fn guards_answer_before_bodies_are_read() {
    let guarded = Router::new().hoop(GuardHandler::new(Announce)).push(routes());
    let server = TestService::start(guarded).await;
    for (headers, body) in [("content-length: 1\r\n", "{"), ("", "")] {
        let refused = server.ask("POST /form?refuse", headers, body).await;
        refused.assert_problem(404, "not-found");
        // The control: the same request is about its body once the guard lets it in.
        let admitted = server.ask("POST /form", headers, body).await;
        admitted.assert_problem(415, "unsupported-media-type");
        assert_eq!(admitted.header("ratelimit"), Some("\"a\";r=1;t=1"));
    }
    // An unknown method comes before the guard.
    let reply = server.ask("PUT /form?refuse", "", "").await;
    reply.assert_problem(405, "method-not-allowed");
    server.stop().await;
}

#[tokio::test]
async fn body_errors_are_reported_in_order() {
    let server = TestService::start(routes()).await;
    for (headers, body, status, code) in [
        ("content-type: text/plain\r\n", "", 415, "unsupported-media-type"),
        ("content-type: application/json; charset=latin1\r\n", "{", 415, "unsupported-media-type"),
        (
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            "{",
            415,
            "unsupported-media-type",
        ),
        (JSON, "", 400, "invalid-request"),
        (JSON, "{\"x\":1,\"x\":2", 400, "invalid-request"),
        (JSON, "{\"x\":1}", 422, "invalid-fields"),
        ("content-type: APPLICATION/JSON;charset=UTF-8\r\n", "{\"name\":1}", 422, "invalid-fields"),
    ] {
        let headers = format!("{headers}content-length: {}\r\n", body.len());
        server.ask("POST /form", &headers, body).await.assert_problem(status, code);
    }
    let body = r#"{"name":"\n","email":"ada","note":"\u000b","extra":1}"#;
    let headers = format!("{JSON}content-length: {}\r\n", body.len());
    let reply = server.ask("POST /form", &headers, body).await;
    for pointer in ["/name", "/email", "/note", "/extra"] {
        assert!(reply.body.contains(&format!("\"pointer\":\"{pointer}\"")), "{}", reply.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn connection_stays_open_after_refusals() {
    let server = TestService::start(routes()).await;
    let mut connection = server.connect().await;
    let bad = format!("{JSON}content-length: 1\r\n");
    connection.ask("GET /nowhere", "", "").await.assert_problem(404, "not-found");
    connection.ask("PUT /works", "", "").await.assert_problem(405, "method-not-allowed");
    connection.ask("POST /form", &bad, "{").await.assert_problem(400, "invalid-request");
    connection.ask("GET /works", &fields(70), "").await.assert_problem(431, "headers-too-large");
    assert_eq!(connection.ask("GET /works", "", "").await.body, "works");
    // Two at once, answered in order.
    connection
        .send(b"GET /works HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert_eq!(connection.reply(true).await.status, 200);
    connection.reply(true).await.assert_problem(404, "not-found");
    server.stop().await;
}

#[tokio::test]
async fn input_that_is_not_http_closes_the_connection() {
    let server = TestService::start(routes()).await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"GET /works\r\n\r\n",
        b"GET /works HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    ] {
        let mut connection = server.connect().await;
        connection.send(bytes).await;
        let rest = connection.rest().await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
        assert_eq!(server.ask("GET /works", "", "").await.status, 200);
    }
    server.stop().await;
}
