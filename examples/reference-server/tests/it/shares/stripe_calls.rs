//! Unanswered calls to Stripe hold no connection and no seat.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{soon, until_at_rest};
use crate::support::Server;

/// More than one principal may have seats, of four connections.
const CALLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_stripe_calls_hold_no_connection_or_seat() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let (send, mut called) = mpsc::unbounded_channel::<TcpStream>();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            if send.send(stream).is_err() {
                return;
            }
        }
    });
    let settings = [
        ("STRIPE_SECRET_KEY", "sk_test_of_the_tests"),
        ("STRIPE_API_BASE", base.as_str()),
        ("DATABASE_MAX_CONNECTIONS", "4"),
    ];
    let server = Server::start_with(&settings).await;
    let (owner, member) = (server.sign_in("owner").await, server.sign_in("member").await);
    let org = server.org(&owner).await;
    server.join(&org, &owner, &member, "member").await;
    let url = format!("{}{org}/billing/customer", server.base_url());
    let asking: Vec<_> = (0..CALLS)
        .map(|_| {
            let request = reqwest::Client::new().request(Method::POST, &url);
            tokio::spawn(request.bearer_auth(&owner.token).json(&Value::Null).send())
        })
        .collect();
    // All of them are under way at once, and kept open.
    let mut open = Vec::new();
    for _ in 0..CALLS {
        open.push(called.recv().await.unwrap());
    }
    until_at_rest(&server).await;
    for who in [&owner, &member] {
        assert_eq!(soon(server.get(&org, who)).await.status, 200);
    }
    let made = soon(server.post(&format!("{org}/projects"), &owner, json!({"name": "P"}))).await;
    assert_eq!(made.status, 201);
    accepting.abort();
    drop((called, open));
    for request in asking {
        assert_eq!(request.await.unwrap().unwrap().status(), 503);
    }
    server.stop().await;
}
