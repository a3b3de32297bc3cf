//! The server behind nginx and HAProxy, which reuse connections.
//!
//! A proxy sends the requests of many clients through few connections. If the server closes a connection without
//! saying so, the next request on it is lost, also that of another client, and the proxy answers 502. So each proxy
//! gets a load of requests that the server answers before it has read their bodies, among others that it reads.

use std::net::SocketAddr;
use std::time::Duration;

use mt_http::body::DEFAULT_LIMIT;
use reference_server::http::json;
use reference_server::http::problem::ApiError;
use salvo::prelude::*;
use tokio::task::JoinSet;

mod process;

use self::process::{Kind, Proxy};
use crate::support::raw_http::{RawConnection, TestService, unguarded};

const CLIENTS: u64 = 16;
const ROUNDS: u64 = 20;

#[handler]
async fn works() -> &'static str {
    "works"
}

#[handler]
async fn measure(req: &mut Request) -> Result<String, ApiError> {
    Ok(super::read(req, DEFAULT_LIMIT).await?.len().to_string())
}

#[handler]
async fn read_json(req: &mut Request) -> Result<String, ApiError> {
    Ok(json::bytes(req).await?.len().to_string())
}

fn routes() -> Router {
    Router::new()
        .push(Router::with_path("works").get(works))
        .push(Router::with_path("count").post(measure))
        .push(Router::with_path("json").post(read_json))
}

/// One request in two segments, and the status that it is to get.
struct Sent {
    head: String,
    body: String,
    status: u16,
}

/// The requests of one round: refused by their head, refused while their body is read, and answered.
fn round() -> Vec<Sent> {
    let small = "x".repeat(200);
    let over = "x".repeat(70_000);
    let sent = |line: &str, headers: &str, body: &str, status| Sent {
        head: format!(
            "{line} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        ),
        body: body.to_owned(),
        status,
    };
    let chunked = |line: &str, body: &str, status| Sent {
        head: format!("{line} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"),
        body: format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        status,
    };
    vec![
        sent("POST /nowhere", "", &small, 404),
        sent("POST /count", "", &small, 200),
        sent("POST /works", "", &small, 405),
        sent("GET /works", "", "", 200),
        sent("POST /json", "content-type: text/plain\r\n", &small, 415),
        sent("POST /count", "", &small, 200),
        chunked("POST /nowhere", &small, 404),
        sent("POST /count", "", &small, 200),
        sent("POST /count", "", &over, 413),
        sent("GET /works", "", "", 200),
        chunked("POST /count", &over, 413),
        sent("POST /count", "", &small, 200),
    ]
}

/// One client's requests. Returns the answers that were not the server's: 502 and its like, and none at all.
async fn client(address: SocketAddr, number: u64) -> Vec<String> {
    let requests = round();
    let mut wrong = Vec::new();
    let mut connection = None;
    for at in 0..ROUNDS * requests.len() as u64 {
        let request = &requests[usize::try_from(at).unwrap() % requests.len()];
        let mut connected = match connection.take() {
            Some(connected) => connected,
            None => RawConnection::connect(address).await,
        };
        // The body in a segment of its own, from right after the head to some milliseconds later.
        let apart = Duration::from_micros((number * 613 + at * 977) % 5_000);
        let Some(reply) = connected.exchange(&request.head, apart, &request.body).await else {
            wrong.push(format!("none for {}", request.head));
            continue;
        };
        if reply.status != request.status {
            wrong.push(format!("{} for {}", reply.status, request.head));
        }
        // After an answer that came before the end of a body, nginx closes its client's connection and has not
        // said so, whatever its upstream is.
        if reply.header("connection") != Some("close") && request.status != 413 {
            connection = Some(connected);
        }
    }
    wrong
}

async fn load(address: SocketAddr) -> Vec<String> {
    let clients: JoinSet<_> = (0..CLIENTS).map(|number| client(address, number)).collect();
    clients.join_all().await.concat()
}

/// The load through a proxy, which never says 502; then with the guard off, where it does.
async fn every_answer_is_the_servers(kind: Kind) {
    let server = TestService::start(routes()).await;
    let Some(proxy) = Proxy::start(kind, server.address).await else { return };
    for address in &proxy.addresses {
        let wrong = load(*address).await;
        let some = &wrong[..wrong.len().min(5)];
        assert!(wrong.is_empty(), "{} answers: {some:?}\n{}", wrong.len(), proxy.log());
    }
    drop(proxy);
    server.stop().await;

    let (address, served) = unguarded(routes()).await;
    let proxy = Proxy::start(kind, address).await.expect("it started before");
    let mut wrong = Vec::new();
    for address in &proxy.addresses {
        wrong.push(load(*address).await.len());
    }
    assert!(
        wrong.iter().any(|wrong| *wrong > 0),
        "the load shows no connection that closes in silence"
    );
    served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_never_answers_502() {
    every_answer_is_the_servers(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_never_answers_502() {
    every_answer_is_the_servers(Kind::HaProxy).await;
}
