//! Responses that are sent before the request body was read.

use std::time::Duration;

use reference_server::http::service::{ShellOptions, Timeouts};
use tokio::time::{Instant, sleep};

use super::{JSON, routes};
use crate::support::raw_http::{RawConnection, Reply, TestService};

/// The time between a head and its body. It stands for a network, and nothing waits for it.
const APART: Duration = Duration::from_millis(50);

async fn head(connection: &mut RawConnection, line: &str, headers: &str) {
    connection.send(format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
}

fn closes(reply: &Reply) -> bool {
    reply.header("connection") == Some("close")
}

/// Refused by the head alone: there is no such method.
const EARLY: &str = "POST /works";

#[tokio::test]
async fn late_body_does_not_corrupt_the_next_request() {
    let server = TestService::start(routes()).await;
    let mut connection = server.connect().await;
    for (headers, body) in [
        (format!("{JSON}content-length: 12\r\n"), "{\"name\":\"n\"}"),
        (format!("{JSON}transfer-encoding: chunked\r\n"), "c\r\n{\"name\":\"n\"}\r\n0\r\n\r\n"),
    ] {
        for _ in 0..3 {
            head(&mut connection, EARLY, &headers).await;
            sleep(APART).await;
            // The next request in the same segment as the body.
            connection
                .send(format!("{body}GET /works HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
                .await;
            let early = connection.reply(true).await;
            early.assert_problem(405, "method-not-allowed");
            assert!(!closes(&early), "{early:?}");
            assert_eq!(connection.reply(true).await.body, "works");
        }
        // In two pieces, and the next request only after the answer.
        head(&mut connection, EARLY, &headers).await;
        for part in [&body[..5], &body[5..]] {
            sleep(APART).await;
            connection.send(part.as_bytes()).await;
        }
        connection.reply(true).await.assert_problem(405, "method-not-allowed");
        assert_eq!(connection.ask("GET /works", "", "").await.body, "works");
    }
    server.stop().await;
}

#[tokio::test]
async fn server_does_not_wait_for_a_body_that_never_comes() {
    let server = TestService::start(routes()).await;
    for headers in ["content-length: 12\r\n", "transfer-encoding: chunked\r\n"] {
        let mut connection = server.connect().await;
        let since = Instant::now();
        head(&mut connection, EARLY, headers).await;
        let early = connection.reply(true).await;
        early.assert_problem(405, "method-not-allowed");
        assert!(closes(&early), "{early:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
    server.stop().await;
}

#[tokio::test]
async fn refused_large_body_gets_its_answer_before_the_connection_closes() {
    let server = TestService::start(routes()).await;
    let large = vec![b'x'; 4 * 1024 * 1024];
    for (line, status, code) in [
        (EARLY, 413, "too-large"),
        ("POST /form", 413, "too-large"),
        ("POST /nowhere", 413, "too-large"),
    ] {
        let mut connection = server.connect().await;
        head(&mut connection, line, &format!("{JSON}content-length: {}\r\n", large.len())).await;
        // All of it is sent after the answer was given. A server that closed by now would reset the
        // connection, and the answer would be lost.
        sleep(APART).await;
        connection.send(&large).await;
        let early = connection.reply(true).await;
        early.assert_problem(status, code);
        assert!(closes(&early), "{early:?}");
        connection.finish().await;
        assert_eq!(connection.rest().await, "");
    }
    // Chunked, so that its length is not known before.
    let mut connection = server.connect().await;
    head(&mut connection, EARLY, "transfer-encoding: chunked\r\n").await;
    for _ in 0..64 {
        connection.send(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await;
    }
    let early = connection.reply(true).await;
    early.assert_problem(405, "method-not-allowed");
    assert!(closes(&early), "{early:?}");
    server.stop().await;
}

#[tokio::test]
async fn refused_request_gets_no_100_continue() {
    let server = TestService::start(routes()).await;
    let expecting = format!("{JSON}content-length: 12\r\nexpect: 100-continue\r\n");
    let mut connection = server.connect().await;
    head(&mut connection, EARLY, &expecting).await;
    let early = connection.reply(true).await;
    early.assert_problem(405, "method-not-allowed");
    assert!(closes(&early), "{early:?}");
    connection.finish().await;
    assert_eq!(connection.rest().await, "");
    // Where the body is wanted it is asked for, and the connection lives on.
    let mut connection = server.connect().await;
    for _ in 0..2 {
        head(&mut connection, "POST /form", &expecting).await;
        assert_eq!(connection.reply(false).await.status, 100);
        connection.send(b"{\"name\":\"n\"}").await;
        let reply = connection.reply(true).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "n false false"));
        assert!(!closes(&reply), "{reply:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn slow_body_is_cut_off_with_a_response() {
    let timeouts = Timeouts { body: Duration::from_millis(200), ..Timeouts::default() };
    let server = TestService::start_with(routes(), ShellOptions::default(), timeouts).await;
    let mut connection = server.connect().await;
    head(&mut connection, "POST /form", &format!("{JSON}content-length: 12\r\n")).await;
    let reply = connection.reply(true).await;
    reply.assert_problem(400, "invalid-request");
    assert!(closes(&reply), "{reply:?}");
    server.stop().await;
}

/// The control: under salvo's own accept loop, the next request dies with the connection.
#[tokio::test]
async fn without_draining_the_client_loses_the_answer() {
    let (address, served) = crate::support::raw_http::unguarded(routes()).await;
    let mut connection = RawConnection::connect(address).await;
    head(&mut connection, EARLY, "content-length: 12\r\n").await;
    let early = connection.reply(true).await;
    assert_eq!((early.status, closes(&early)), (405, false), "{early:?}");
    sleep(APART).await;
    assert!(
        connection.is_gone_after(b"{\"name\":\"n\"}GET /works HTTP/1.1\r\nhost: x\r\n\r\n").await
    );
    served.abort();
}
