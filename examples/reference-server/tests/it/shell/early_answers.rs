//! Answers that are given before the request's body was read, and what becomes of the connection.

use std::time::Duration;

use reference_server::http::service::{Patience, ShellOptions};
use tokio::time::{Instant, sleep};

use super::{JSON, routes};
use crate::wire::{Reply, Shelled, Wire};

/// The time between a head and its body. It stands for a network, and nothing waits for it.
const APART: Duration = Duration::from_millis(50);

async fn head(wire: &mut Wire, line: &str, headers: &str) {
    wire.send(format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
}

fn closes(reply: &Reply) -> bool {
    reply.header("connection") == Some("close")
}

/// Refused by the head alone: there is no such method.
const EARLY: &str = "POST /works";

#[tokio::test]
async fn the_next_request_follows_a_body_that_came_late() {
    let server = Shelled::start(routes()).await;
    let mut wire = server.connect().await;
    for (headers, body) in [
        (format!("{JSON}content-length: 12\r\n"), "{\"name\":\"n\"}"),
        (format!("{JSON}transfer-encoding: chunked\r\n"), "c\r\n{\"name\":\"n\"}\r\n0\r\n\r\n"),
    ] {
        for _ in 0..3 {
            head(&mut wire, EARLY, &headers).await;
            sleep(APART).await;
            // The next request in the same segment as the body.
            wire.send(format!("{body}GET /works HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
            let early = wire.reply(true).await;
            early.assert_problem(405, "method-not-allowed");
            assert!(!closes(&early), "{early:?}");
            assert_eq!(wire.reply(true).await.body, "works");
        }
        // In two pieces, and the next request only after the answer.
        head(&mut wire, EARLY, &headers).await;
        for part in [&body[..5], &body[5..]] {
            sleep(APART).await;
            wire.send(part.as_bytes()).await;
        }
        wire.reply(true).await.assert_problem(405, "method-not-allowed");
        assert_eq!(wire.ask("GET /works", "", "").await.body, "works");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Shelled::start(routes()).await;
    for headers in ["content-length: 12\r\n", "transfer-encoding: chunked\r\n"] {
        let mut wire = server.connect().await;
        let since = Instant::now();
        head(&mut wire, EARLY, headers).await;
        let early = wire.reply(true).await;
        early.assert_problem(405, "method-not-allowed");
        assert!(closes(&early), "{early:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_large_body_closes_the_connection_and_leaves_its_client_the_answer() {
    let server = Shelled::start(routes()).await;
    let large = vec![b'x'; 4 * 1024 * 1024];
    for (line, status, code) in [
        (EARLY, 413, "too-large"),
        ("POST /form", 413, "too-large"),
        ("POST /nowhere", 413, "too-large"),
    ] {
        let mut wire = server.connect().await;
        head(&mut wire, line, &format!("{JSON}content-length: {}\r\n", large.len())).await;
        // All of it is sent after the answer was given. A server that closed by now would reset the
        // connection, and the answer would be lost.
        sleep(APART).await;
        wire.send(&large).await;
        let early = wire.reply(true).await;
        early.assert_problem(status, code);
        assert!(closes(&early), "{early:?}");
        wire.finish().await;
        assert_eq!(wire.rest().await, "");
    }
    // Chunked, so that its length is not known before.
    let mut wire = server.connect().await;
    head(&mut wire, EARLY, "transfer-encoding: chunked\r\n").await;
    for _ in 0..64 {
        wire.send(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await;
    }
    let early = wire.reply(true).await;
    early.assert_problem(405, "method-not-allowed");
    assert!(closes(&early), "{early:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_not_made_to_send_what_is_refused() {
    let server = Shelled::start(routes()).await;
    let expecting = format!("{JSON}content-length: 12\r\nexpect: 100-continue\r\n");
    let mut wire = server.connect().await;
    head(&mut wire, EARLY, &expecting).await;
    let early = wire.reply(true).await;
    early.assert_problem(405, "method-not-allowed");
    assert!(closes(&early), "{early:?}");
    wire.finish().await;
    assert_eq!(wire.rest().await, "");
    // Where the body is wanted it is asked for, and the connection lives on.
    let mut wire = server.connect().await;
    for _ in 0..2 {
        head(&mut wire, "POST /form", &expecting).await;
        assert_eq!(wire.reply(false).await.status, 100);
        wire.send(b"{\"name\":\"n\"}").await;
        let reply = wire.reply(true).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "n false false"));
        assert!(!closes(&reply), "{reply:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off_with_a_word() {
    let patience = Patience { body: Duration::from_millis(200), ..Patience::default() };
    let server = Shelled::start_with(routes(), ShellOptions::default(), patience).await;
    let mut wire = server.connect().await;
    head(&mut wire, "POST /form", &format!("{JSON}content-length: 12\r\n")).await;
    let reply = wire.reply(true).await;
    reply.assert_problem(400, "invalid-request");
    assert!(closes(&reply), "{reply:?}");
    server.stop().await;
}

/// The control: under salvo's own accept loop, the next request dies with the connection.
#[tokio::test]
async fn without_the_guard_the_connection_is_gone() {
    let (address, served) = crate::wire::unguarded(routes()).await;
    let mut wire = Wire::connect(address).await;
    head(&mut wire, EARLY, "content-length: 12\r\n").await;
    let early = wire.reply(true).await;
    assert_eq!((early.status, closes(&early)), (405, false), "{early:?}");
    sleep(APART).await;
    assert!(wire.is_gone_after(b"{\"name\":\"n\"}GET /works HTTP/1.1\r\nhost: x\r\n\r\n").await);
    served.abort();
}
