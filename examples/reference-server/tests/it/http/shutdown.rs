//! Slow clients, and graceful shutdown.

use std::sync::Arc;
use std::time::Duration;

use reference_server::http::service::{ShellOptions, Timeouts};
use reference_server::routes::health::{self, Checks, Readiness};
use salvo::prelude::*;
use tokio::sync::Notify;

use super::{JSON, routes};
use crate::support::raw_http::{TestService, within};

#[tokio::test]
async fn slow_heads_and_bodies_time_out() {
    let short = Duration::from_millis(200);
    let timeouts = Timeouts { head: short, body: short, ..Timeouts::default() };
    let server = TestService::start_with(routes(), ShellOptions::default(), timeouts).await;
    let mut slow_head = server.connect().await;
    slow_head.send(b"GET /works HTTP/1.1\r\nhost:").await;
    assert_eq!(slow_head.rest().await, "");
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut slow_body = server.connect().await;
    let headers = format!("{JSON}content-length: 9\r\n");
    slow_body.ask("POST /form", &headers, "{").await.assert_problem(400, "invalid-request");
    server.stop().await;
}

/// Says that it was begun, and finishes when it is told to.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl Handler for Slow {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        self.begun.notify_one();
        self.go_on.notified().await;
        res.render("finished");
    }
}

#[tokio::test]
async fn shutdown_waits_for_running_requests() {
    let slow = Slow::default();
    let server = TestService::start(Router::with_path("slow").get(slow.clone())).await;
    let (address, mut connection) = (server.address, server.connect().await);
    connection.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(slow.begun.notified()).await;
    let served = server.begin_stop();
    // New connections are refused instead of left waiting.
    within(async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!served.is_finished());
    slow.go_on.notify_one();
    assert_eq!(connection.reply(true).await.body, "finished");
    within(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_forever() {
    let slow = Slow::default();
    let router = Router::with_path("slow").get(slow.clone());
    let timeouts = Timeouts { stop: Duration::from_millis(100), ..Timeouts::default() };
    let server = TestService::start_with(router, ShellOptions::default(), timeouts).await;
    let mut connection = server.connect().await;
    connection.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(slow.begun.notified()).await;
    server.stop().await;
    assert_eq!(connection.rest().await, "");
}

struct AllThere;

#[async_trait]
impl Checks for AllThere {
    async fn database(&self) -> bool {
        true
    }

    async fn redis(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn stopping_server_answers_with_its_own_problem() {
    let readiness = Readiness::new(AllThere, true);
    let server = TestService::start(health::routes(readiness.clone())).await;
    let health = server.ask("GET /health", "", "").await;
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok"}"#));
    let checks = r#""checks":{"db":true,"redis":true}"#;
    let ready = server.ask("GET /ready", "", "").await;
    assert_eq!((ready.status, ready.body), (200, format!(r#"{{"status":"ok",{checks}}}"#)));
    readiness.stop();
    let unready = server.ask("GET /ready", "", "").await;
    unready.assert_hardened();
    assert_eq!(
        (unready.status, unready.body),
        (503, format!(r#"{{"status":"unready",{checks}}}"#))
    );
    assert_eq!(server.ask("GET /health", "", "").await.status, 200);
    server.stop().await;
}
