//! Timeouts and limits of connections.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reference_server::http::service::{ConnectionLimits, ShellOptions, Timeouts, service};
use salvo::prelude::*;
use tokio::sync::{Notify, Semaphore};

use super::routes;
use crate::support::raw_http::{RawConnection, TestService, within};

/// Shorter than any of the other deadlines.
const SHORT: Duration = Duration::from_secs(1);

async fn start(timeouts: Timeouts, router: Router) -> TestService {
    TestService::start_with(router, ShellOptions::default(), timeouts).await
}

#[tokio::test]
async fn idle_connection_is_closed_and_a_used_one_is_not() {
    let idle = Timeouts { idle: SHORT, ..Timeouts::default() };
    let server = start(idle, routes()).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        assert_eq!(connection.ask("GET /works", "", "").await.status, 200);
    }
    assert_eq!(connection.rest().await, "");
    server.stop().await;

    // A proxy keeps its connections longer than a client may take for a head.
    let server = start(Timeouts { head: SHORT, ..Timeouts::default() }, routes()).await;
    let mut connection = server.connect().await;
    for _ in 0..2 {
        assert_eq!(connection.ask("GET /works", "", "").await.status, 200);
        tokio::time::sleep(2 * SHORT).await;
    }
    // From the head's first byte on, it is a head that is waited for.
    connection.send(b"GET /works HT").await;
    assert_eq!(connection.rest().await, "");
    server.stop().await;
}

/// Streams for as long as it is read, under one of two permits.
#[derive(Clone)]
struct Endless(Arc<Semaphore>);

#[async_trait]
impl Handler for Endless {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            res.status_code(StatusCode::SERVICE_UNAVAILABLE);
            return;
        };
        let block = Bytes::from(vec![b'x'; 64 * 1024]);
        res.stream(futures_util::stream::repeat(block).map(move |block| {
            let _held = &permit;
            Ok::<_, std::io::Error>(block)
        }));
    }
}

/// Two clients that take nothing, or a little at a time, hold the two permits until their time is up.
async fn permits_come_back(timeouts: Timeouts, reads: bool) {
    let endless = Endless(Arc::new(Semaphore::new(2)));
    let server = start(timeouts, Router::with_path("endless").get(endless.clone())).await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut connection = server.connect().await;
        connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(connection.reply(false).await.status, 200);
        stalled.push(connection);
    }
    let refused = server.ask("GET /endless", "", "").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let reading = tokio::spawn(async move {
        while reads
            && futures_util::future::join_all(stalled.iter_mut().map(RawConnection::skip))
                .await
                .contains(&true)
        {}
        stalled
    });
    drop(within(endless.0.acquire_many(2)).await.unwrap());
    let mut connection = server.connect().await;
    connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(connection.reply(false).await.status, 200);
    drop(connection);
    reading.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_gives_up_its_answer() {
    permits_come_back(Timeouts { write: SHORT, ..Timeouts::default() }, false).await;
}

#[tokio::test]
async fn a_client_that_never_ends_reading_gives_up_its_answer() {
    permits_come_back(Timeouts { exchange: SHORT, ..Timeouts::default() }, true).await;
}

#[tokio::test]
async fn old_connection_closes_after_a_response() {
    let server = start(Timeouts { age: SHORT, ..Timeouts::default() }, routes()).await;
    let mut connection = server.connect().await;
    let young = connection.ask("GET /works", "", "").await;
    assert_eq!((young.status, young.header("connection")), (200, None));
    tokio::time::sleep(2 * SHORT).await;
    let old = connection.ask("GET /works", "", "").await;
    assert_eq!((old.status, old.header("connection")), (200, Some("close")));
    assert_eq!(connection.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn cleartext_http_2_is_refused() {
    let server = TestService::start(routes()).await;
    let mut connection = server.connect().await;
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_eq!(connection.rest().await, "");
    assert_eq!(server.ask("GET /works", "", "").await.status, 200);
    server.stop().await;
}

/// Says that a request came in, and answers when it is told to.
#[derive(Clone, Default)]
struct Held {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl Handler for Held {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        self.begun.notify_one();
        self.go_on.notified().await;
        res.render("held");
    }
}

fn at_most(total: usize, per_address: Option<usize>) -> ConnectionLimits {
    ConnectionLimits {
        total: NonZeroUsize::new(total).unwrap(),
        per_address: per_address.and_then(NonZeroUsize::new),
        proxies: Vec::new(),
    }
}

async fn limited(limits: ConnectionLimits) -> (TestService, Held) {
    let held = Held::default();
    let router = routes().push(Router::with_path("held").get(held.clone()));
    let service = service(router, ShellOptions::default());
    (TestService::start_within(limits, service, Timeouts::default()).await, held)
}

async fn hold(connection: &mut RawConnection, held: &Held) {
    connection.send(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(held.begun.notified()).await;
}

#[tokio::test]
async fn longest_idle_connection_is_closed_for_a_new_one() {
    let (server, held) = limited(at_most(3, None)).await;
    let mut busy = server.connect().await;
    hold(&mut busy, &held).await;
    // One has sent nothing and one has been answered: both wait for their client.
    let mut silent = server.connect().await;
    let mut answered = server.connect().await;
    assert_eq!(answered.ask("GET /works", "", "").await.status, 200);
    let mut more = Vec::new();
    for longest in [&mut silent, &mut answered] {
        let mut connection = server.connect().await;
        assert_eq!(connection.ask("GET /works", "", "").await.status, 200);
        more.push(connection);
        assert_eq!(longest.rest().await, "");
    }
    held.go_on.notify_one();
    assert_eq!(busy.reply(true).await.body, "held");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_waits_while_all_others_are_busy() {
    let (server, held) = limited(at_most(2, None)).await;
    // With both taken one more is accepted, since only then it is known that room is needed.
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut connection = server.connect().await;
        hold(&mut connection, &held).await;
        busy.push(connection);
    }
    let mut waiting = server.connect().await;
    waiting.send(b"GET /works HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = std::pin::pin!(waiting.reply(true));
    let early = tokio::time::timeout(SHORT, &mut answer).await;
    assert!(early.is_err(), "{early:?}");
    // One request ends, and its connection makes room.
    held.go_on.notify_one();
    assert_eq!(within(answer).await.status, 200);
    for _ in 1..3 {
        held.go_on.notify_one();
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_per_address_are_limited() {
    let (server, held) = limited(at_most(100, Some(2))).await;
    let mut busy = server.connect().await;
    hold(&mut busy, &held).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.ask("GET /works", "", "").await.status, 200);
    // A third connection takes the place of the one that waits.
    let mut third = server.connect().await;
    assert_eq!(third.ask("GET /works", "", "").await.status, 200);
    assert_eq!(idle.rest().await, "");
    // With both busy there is no place to take.
    hold(&mut third, &held).await;
    let mut refused = server.connect().await;
    assert!(refused.is_gone_after(b"GET /works HTTP/1.1\r\nhost: x\r\n\r\n").await);
    // Another address has its own share.
    let mut other = RawConnection::connect_from("127.0.0.2", server.address).await;
    assert_eq!(other.ask("GET /works", "", "").await.status, 200);
    // What ends gives its place back.
    for connection in [busy, third] {
        held.go_on.notify_one();
        drop(connection);
    }
    let again = async {
        while server.connect().await.is_gone_after(b"GET /works HTTP/1.1\r\nhost: x\r\n\r\n").await
        {
        }
    };
    within(again).await;
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_has_as_many_connections_as_it_needs() {
    let mut limits = at_most(100, Some(1));
    limits.proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let (server, held) = limited(limits).await;
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut connection = server.connect().await;
        hold(&mut connection, &held).await;
        connections.push(connection);
    }
    for mut connection in connections {
        held.go_on.notify_one();
        connection.finish().await;
    }
    server.stop().await;
}
