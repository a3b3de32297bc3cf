//! Rate limits over HTTP, counted in Redis and in the process.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, Server, answer, problem};

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
async fn limit_holds_without_redis() {
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

/// Neither one mailbox nor many are flooded by way of this server. What is not sent is answered like what is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_limited_by_their_address_and_in_all() {
    let settings =
        [("RATE_LIMIT_EMAIL_PER_HOUR", "1"), ("RATE_LIMIT_LINKS_PER_MIN", "3"), ("REDIS_URL", "")];
    let server = Server::start_with(&settings).await;
    let ask = async |name: &str| {
        let body = json!({"email": format!("{name}@example.org")});
        server.send(Method::POST, "/auth/request-link", None, Some(body)).await
    };
    let mut sent = Vec::new();
    // The second is too many for Ada, and is not taken from what is there for the others.
    for name in ["ada", "ada", "grace", "edsger", "barbara", "alan"] {
        let answer = ask(name).await;
        assert_eq!((answer.status, &answer.json()["sent"]), (202, &json!(true)), "{answer:?}");
        sent.push(answer.json()["token"].is_string());
    }
    assert_eq!(sent, [true, false, true, true, false, false]);
    server.stop().await;
}

/// Requests outside of orgs count together, and each caller by themself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_outside_of_orgs_are_limited_by_principal() {
    let server = Server::start_with(&[("RATE_LIMIT_API_PER_MIN", "5")]).await;
    // Asking who one is was the first of the five.
    let (ada, grace) = (server.sign_in("ada").await, server.sign_in("grace").await);
    let org = server.org(&ada).await;
    let me = server.get("/me", &ada).await;
    assert_eq!(me.header("ratelimit-policy"), r#""api";q=5;w=60"#);
    assert!(me.header("ratelimit").starts_with(r#""api";r=2;t="#), "{me:?}");
    assert_eq!(server.get("/orgs", &ada).await.status, 200);
    let token = json!({"token": "no such invite"});
    assert_eq!(server.post("/invites/accept", &ada, token.clone()).await.status, 400);
    for (method, path, body) in [
        (Method::GET, "/me", None),
        (Method::GET, "/orgs", None),
        (Method::POST, "/orgs", Some(json!({"name": "Another"}))),
        (Method::POST, "/invites/accept", Some(token)),
        (Method::POST, "/auth/logout", None),
    ] {
        let refused = server.send(method, path, Some(&ada.token), body).await;
        assert_eq!(refused.outcome(), problem(429, "rate-limited"), "{path}");
        for field in ["retry-after", "ratelimit", "ratelimit-policy"] {
            assert!(!refused.header(field).is_empty(), "{path}: no {field}: {refused:?}");
        }
    }
    // In an org the caller has a count of their own, and another caller has theirs.
    assert_eq!(server.get(&org, &ada).await.status, 200);
    assert_eq!(server.get("/me", &grace).await.status, 200);
    server.stop().await;
}

/// A caller who looks for orgs of others is refused before the database is asked, once they are over the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_foreign_orgs_are_limited_by_principal() {
    let server = Server::start_with(&[("RATE_LIMIT_API_PER_MIN", "4")]).await;
    let (owner, stranger) = (server.sign_in("owner").await, server.sign_in("stranger").await);
    let (theirs, own) = (server.org(&owner).await, server.org(&stranger).await);
    let unknown = format!("/orgs/{}", Uuid::new_v4());
    // Two of the four are left.
    for org in [&theirs, &unknown] {
        let answer = server.get(org, &stranger).await;
        assert_eq!(answer.outcome(), problem(404, "not-found"));
    }
    // The orgs of the caller count by themselves.
    for _ in 0..2 {
        assert_eq!(server.get(&own, &stranger).await.status, 200);
    }
    let waits = |answer: &Answer| !answer.header("retry-after").is_empty();
    let refused = server.get(&theirs, &stranger).await;
    assert_eq!((refused.outcome(), waits(&refused)), (problem(429, "rate-limited"), true));
    // From here on it is not asked whose org it is.
    let lock = "lock table mt.users in access exclusive mode";
    let mut held = server.db.admin().acquire().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("begin; {lock}"))).execute(&mut *held).await.unwrap();
    for org in [&theirs, &unknown, &own] {
        let refused = server.get(org, &stranger).await;
        assert_eq!((refused.outcome(), waits(&refused)), (problem(429, "rate-limited"), true));
    }
    sqlx::raw_sql("rollback").execute(&mut *held).await.unwrap();
    assert_eq!(server.get(&theirs, &owner).await.status, 200);
    server.stop().await;
}

/// Stripe allows a server so many calls a second: one user does not use them up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_stripe_are_limited_per_user_over_all_orgs() {
    let server = Server::start_with(&[("RATE_LIMIT_BILLING_PER_MIN", "2")]).await;
    let (owner, other) = (server.sign_in("owner").await, server.sign_in("other").await);
    let (first, second) = (server.org(&owner).await, server.org(&owner).await);
    let theirs = server.org(&other).await;
    let ask = async |org: &str, page: &str, who: &crate::support::Person| {
        server.post(&format!("{org}/billing/{page}"), who, json!(null)).await
    };
    assert_eq!(ask(&first, "customer", &owner).await.status, 200);
    assert_eq!(ask(&second, "checkout", &owner).await.status, 201);
    let refused = ask(&second, "portal", &owner).await;
    assert_eq!(refused.outcome(), (429, "rate-limited".to_owned()));
    assert!(refused.header("ratelimit-policy").contains(r#""billing";q=2;w=60"#), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty());
    // What asks Stripe nothing, and what others ask.
    assert_eq!(server.get(&format!("{first}/billing"), &owner).await.status, 200);
    assert_eq!(ask(&theirs, "portal", &other).await.status, 200);
    server.stop().await;
}
