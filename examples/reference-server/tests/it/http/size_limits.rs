//! Size limits of request heads and bodies.

use mt_http::body::BodyBudget;
use reference_server::http::body_limits::BodyLimits;
use reference_server::http::service::{ShellOptions, Timeouts};

use super::{JSON, MIB, fields, routes};
use crate::support::raw_http::TestService;

#[tokio::test]
async fn request_head_is_limited_to_sixty_four_fields() {
    let server = TestService::start(routes()).await;
    // `host` is one of them.
    assert_eq!(server.ask("GET /works", &fields(63), "").await.status, 200);
    for count in [64, 99, 100, 101, 200, 255] {
        let reply = server.ask("GET /works", &fields(count), "").await;
        reply.assert_problem(431, "headers-too-large");
    }
    // Past what a request could mean, the transport answers and closes.
    let mut connection = server.connect().await;
    let absurd = connection.ask("GET /works", &fields(300), "").await;
    assert_eq!((absurd.status, absurd.body.as_str()), (431, ""));
    assert_eq!(connection.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn request_head_is_limited_to_sixteen_kibibytes() {
    let server = TestService::start(routes()).await;
    let bare = "GET /works HTTP/1.1\r\nhost: x\r\nx-wide: \r\n\r\n".len();
    let wide = |bytes: usize| format!("x-wide: {}\r\n", "a".repeat(bytes - bare));
    assert_eq!(server.ask("GET /works", &wide(16 * 1024), "").await.status, 200);
    for bytes in [16 * 1024 + 1, 20 * 1024, 100 * 1024] {
        let reply = server.ask("GET /works", &wide(bytes), "").await;
        reply.assert_problem(431, "headers-too-large");
    }
    let target = format!("GET /works?{}", "a".repeat(20 * 1024));
    server.ask(&target, "", "").await.assert_problem(431, "headers-too-large");
    // It comes before everything else.
    server.ask("GET /nowhere", &fields(70), "").await.assert_problem(431, "headers-too-large");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_declared_or_chunked() {
    let options = ShellOptions {
        body_limits: BodyLimits::default().with("/count", MIB),
        ..ShellOptions::default()
    };
    let server = TestService::start_with(routes(), options, Timeouts::default()).await;
    let declared = |length: usize| format!("{JSON}content-length: {length}\r\n");
    let form = |length: usize| format!("{}{{\"name\":\"n\"}}", " ".repeat(length - 12));
    let limit = 64 * 1024;

    let fits = server.ask("POST /form", &declared(limit), &form(limit)).await;
    assert_eq!((fits.status, fits.body.as_str()), (200, "n false false"));
    // Nothing of the body was sent: the length alone is enough.
    let refused = server.ask("POST /form", &declared(limit + 1), "").await;
    refused.assert_problem(413, "too-large");
    server.ask("POST /nowhere", &declared(limit + 1), "").await.assert_problem(413, "too-large");

    let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
    for (length, status) in [(limit, 200), (limit + 1, 413)] {
        let body = form(length);
        let (one, two) = body.split_at(40_000);
        let body = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        let reply = server.ask("POST /form", &chunked, &body).await;
        assert_eq!(reply.status, status, "{length}: {reply:?}");
    }

    let whole = usize::try_from(MIB).unwrap();
    let reply = server.ask("POST /count", &declared(whole), &"x".repeat(whole)).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "1048576"));
    server.ask("POST /count", &declared(whole + 1), "").await.assert_problem(413, "too-large");
    server.stop().await;
}

#[tokio::test]
async fn long_bodies_share_a_memory_budget() {
    let options = ShellOptions {
        body_limits: BodyLimits::default().with("/count", MIB),
        body_budget: BodyBudget::new(256 * 1024),
        ..ShellOptions::default()
    };
    let server = TestService::start_with(routes(), options, Timeouts::default()).await;
    let head = |length: usize| format!("content-length: {length}\r\n");
    let half = "x".repeat(200 * 1024);
    // The first one has sent two thirds of what it announced, and is not at its end.
    let mut first = server.connect().await;
    let begun = format!("POST /count HTTP/1.1\r\nhost: x\r\n{}\r\n{half}", head(300_000));
    first.send(begun.as_bytes()).await;
    // The control of the next line is the last one: the budget is what refuses.
    let refused = loop {
        let reply = server.ask("POST /count", &head(half.len()), &half).await;
        // The server may not have read the first body yet.
        if reply.status != 200 {
            break reply;
        }
    };
    refused.assert_problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let short = "x".repeat(16 * 1024);
    assert_eq!(server.ask("POST /count", &head(short.len()), &short).await.status, 200);
    // The first one hangs up, and gives back what it held.
    drop(first);
    while server.ask("POST /count", &head(half.len()), &half).await.status != 200 {}
    server.stop().await;
}
