//! Bounds of heads and bodies.

use reference_server::http::body::BodyLimits;
use reference_server::http::service::{Patience, ShellOptions};

use super::{JSON, MIB, fields, routes};
use crate::wire::Shelled;

#[tokio::test]
async fn sixty_four_fields_are_read_and_more_are_refused() {
    let server = Shelled::start(routes()).await;
    // `host` is one of them.
    assert_eq!(server.ask("GET /works", &fields(63), "").await.status, 200);
    for count in [64, 99, 100, 101, 200, 255] {
        let reply = server.ask("GET /works", &fields(count), "").await;
        reply.assert_problem(431, "headers-too-large");
    }
    // Past what a request could mean, the transport answers and closes.
    let mut wire = server.connect().await;
    let absurd = wire.ask("GET /works", &fields(300), "").await;
    assert_eq!((absurd.status, absurd.body.as_str()), (431, ""));
    assert_eq!(wire.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn sixteen_kibibytes_of_head_are_read_and_more_are_refused() {
    let server = Shelled::start(routes()).await;
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
    let server = Shelled::start_with(routes(), options, Patience::default()).await;
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
