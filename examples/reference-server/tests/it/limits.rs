//! Rate limits over HTTP, counted in Redis and in the process.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Server, answer};

async fn three_links_and_no_fourth(server: &Server) {
    let client = reqwest::Client::new();
    // An address of this run's own: the tests share a Redis.
    let address = format!("2001:db8:{}::1", &Uuid::new_v4().simple().to_string()[..4]);
    let ask = |from: &str| {
        client
            .post(format!("{}/auth/request-link", server.base_url()))
            .header("x-forwarded-for", from)
            .json(&json!({"email": "ada@example.org"}))
            .send()
    };
    for remaining in [2, 1, 0] {
        let allowed = answer(ask(&address).await.unwrap()).await;
        assert_eq!(allowed.status, 202, "{allowed:?}");
        assert_eq!(allowed.headers["ratelimit-policy"], r#""auth";q=3;w=60"#);
        let state = allowed.headers["ratelimit"].to_str().unwrap();
        assert!(state.starts_with(&format!(r#""auth";r={remaining};t="#)), "{state}");
    }
    let refused = answer(ask(&address).await.unwrap()).await;
    assert_eq!(refused.outcome(), (429, "rate-limited".to_owned()));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(refused.headers["ratelimit"].to_str().unwrap().contains("r=0"));
    // The same network is the same client; another one is not.
    let neighbour = address.replace("::1", "::2");
    assert_eq!(ask(&neighbour).await.unwrap().status(), 429);
    let elsewhere = address.replace("2001:db8", "2001:db9");
    assert_eq!(ask(&elsewhere).await.unwrap().status(), 202);
}

const LIMITED: [(&str, &str); 2] =
    [("RATE_LIMIT_AUTH_PER_MIN", "3"), ("TRUSTED_PROXIES", "127.0.0.1/32")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_in_redis() {
    let server = Server::start_with(&LIMITED).await;
    three_links_and_no_fourth(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_in_the_process() {
    let server = Server::start_with(&[&LIMITED[..], &[("REDIS_URL", "")]].concat()).await;
    three_links_and_no_fourth(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_redis_that_answers_the_limit_holds_all_the_same() {
    let away = [("REDIS_URL", "redis://127.0.0.1:9"), ("READY_REQUIRES_REDIS", "false")];
    let server = Server::start_with(&[&LIMITED[..], &away].concat()).await;
    three_links_and_no_fourth(&server).await;
    let ready = reqwest::get(format!("{}/ready", server.base_url())).await.unwrap();
    let ready = answer(ready).await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["checks"], json!({"db": true, "redis": false}));
    server.stop().await;
}

/// Without a trusted proxy the header is anybody's to write, and counts for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_counts_only_behind_a_trusted_proxy() {
    let settings = [("RATE_LIMIT_AUTH_PER_MIN", "2"), ("REDIS_URL", "")];
    let server = Server::start_with(&settings).await;
    let client = reqwest::Client::new();
    let mut statuses = Vec::new();
    for last in 1..=3 {
        let answered = client
            .post(format!("{}/auth/request-link", server.base_url()))
            .header("x-forwarded-for", format!("203.0.113.{last}"))
            .json(&json!({"email": "ada@example.org"}))
            .send()
            .await
            .unwrap();
        statuses.push(answered.status().as_u16());
    }
    assert_eq!(statuses, [202, 202, 429]);
    server.stop().await;
}

/// Neither one mailbox nor many are flooded by way of this server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_limited_by_their_address_and_in_all() {
    let settings =
        [("RATE_LIMIT_EMAIL_PER_HOUR", "1"), ("RATE_LIMIT_LINKS_PER_MIN", "3"), ("REDIS_URL", "")];
    let server = Server::start_with(&settings).await;
    let ask = async |name: &str| {
        let body = json!({"email": format!("{name}@example.org")});
        server.send(Method::POST, "/auth/request-link", None, Some(body)).await
    };
    let mut statuses = Vec::new();
    // The second is too many for Ada, and is not taken from what is there for the others.
    for name in ["ada", "ada", "grace", "edsger", "barbara"] {
        statuses.push(ask(name).await.status);
    }
    assert_eq!(statuses, [202, 429, 202, 202, 429]);
    let refused = ask("alan").await;
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{refused:?}");
    server.stop().await;
}
