//! A router on a socket: slow clients, the peer's address, and the stop.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::routing::{get, post};
use mt_service::serve::{ConnectionLimits, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(100);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, timeouts: Timeouts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let limits = ConnectionLimits::default();
        let served = tokio::spawn(mt_axum::serve(listener, limits, timeouts, router, stopped));
        Self { address, stop, served }
    }

    async fn send(&self, bytes: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(bytes.as_bytes()).await.unwrap();
        client
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.served).await.unwrap();
    }
}

/// Fails a test that hangs. Less than the timeouts that a test does not shorten.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), future).await.expect("in time")
}

/// What the server sends until it closes the connection.
async fn rest(client: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    // The server may reset a connection that it has nothing to say on.
    let _ = within(client.read_to_end(&mut rest)).await;
    String::from_utf8(rest).unwrap()
}

fn router() -> Router {
    let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
    Router::new().route("/peer", get(peer)).route("/echo", post(async |body: String| body))
}

#[tokio::test]
async fn handlers_see_the_peer_and_the_body() {
    let server = Server::start(router(), Timeouts::default()).await;
    let close = "host: x\r\nconnection: close";
    let mut client = server.send(&format!("GET /peer HTTP/1.1\r\n{close}\r\n\r\n")).await;
    let peer = client.local_addr().unwrap().to_string();
    assert!(rest(&mut client).await.ends_with(&format!("\r\n\r\n{peer}")));
    let post = format!("POST /echo HTTP/1.1\r\n{close}\r\ncontent-length: 4\r\n\r\necho");
    assert!(rest(&mut server.send(&post).await).await.ends_with("\r\n\r\necho"));
    server.stop().await;
}

#[tokio::test]
async fn half_a_head_is_closed_at_its_deadline() {
    let timeouts = Timeouts { head: SHORT, ..Timeouts::default() };
    let server = Server::start(router(), timeouts).await;
    let mut half = server.send("GET /peer HTTP/1.1\r\nhost:").await;
    assert_eq!(rest(&mut half).await, "");
    let mut silent = server.send("").await;
    assert_eq!(rest(&mut silent).await, "");
    server.stop().await;
}

#[tokio::test]
async fn half_a_body_is_refused_at_its_deadline() {
    let timeouts = Timeouts { body: SHORT, ..Timeouts::default() };
    let server = Server::start(router(), timeouts).await;
    let half = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    let answer = rest(&mut server.send(half).await).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_stop_closes_idle_connections() {
    let server = Server::start(router(), Timeouts::default()).await;
    let mut idle = server.send("GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut half = server.send("GET /peer HTTP/1.1\r\nhost:").await;
    let mut first = [0; 12];
    within(idle.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.stop().await;
    rest(&mut idle).await;
    assert_eq!(rest(&mut half).await, "");
}

#[tokio::test]
async fn a_stop_waits_for_requests_for_a_bounded_time() {
    let begun = Arc::new(Notify::new());
    let tell = Arc::clone(&begun);
    let slow = get(async move || {
        tell.notify_one();
        pending::<StatusCode>().await
    });
    let timeouts = Timeouts { stop: SHORT, ..Timeouts::default() };
    let server = Server::start(Router::new().route("/slow", slow), timeouts).await;
    let mut client = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(begun.notified()).await;
    server.stop().await;
    assert_eq!(rest(&mut client).await, "");
}
