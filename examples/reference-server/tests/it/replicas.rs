//! Two servers on one database: a change on one holds on the other at the next request.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::ServerProcess;
use crate::support::{Answer, Person, Server};

const JWT_SECRET: &str = "one secret for both, of 32 bytes or more";

/// Sends a request with the access token of `user`.
async fn send(
    server: &ServerProcess,
    method: Method,
    path: &str,
    user: &Person,
    body: Option<Value>,
) -> Answer {
    let token = format!("Bearer {}", user.token);
    server.send(method, path, &[("authorization", &token)], body).await
}

#[tokio::test]
async fn change_on_one_server_holds_on_the_other_at_the_next_request() {
    for limit in ["0", "1000000"] {
        let settings = [("JWT_SECRET", JWT_SECRET), ("RATE_LIMIT_API_PER_MIN", limit)];
        let here = Server::start_with(&settings).await;
        let there = ServerProcess::start(&here.db.login_url(), &settings).await;
        let owner = here.sign_in("owner").await;
        let org = here.org(&owner).await;
        let projects = format!("{org}/projects");
        let get = async |path: &str, who: &Person| {
            send(&there, Method::GET, path, who, None).await.status
        };
        let create = async |who: &Person, name: &str| {
            let body = Some(json!({"name": name}));
            send(&there, Method::POST, &projects, who, body).await.status
        };
        for round in 0..5 {
            let who = here.sign_in(&format!("fellow-{round}")).await;
            here.join(&org, &owner, &who, "admin").await;
            let membership = format!("{org}/members/{}", who.id);
            // Often enough to be remembered there.
            for _ in 0..3 {
                assert_eq!(get(&projects, &who).await, 200, "limit {limit}");
            }
            let demoted = here.patch(&membership, &owner, json!({"role": "member"})).await;
            assert_eq!(demoted.status, 200, "{demoted:?}");
            assert_eq!(create(&who, "never").await, 403, "limit {limit}, round {round}");
            assert_eq!(get(&projects, &who).await, 200, "limit {limit}");
            let removed = here.delete(&membership, &owner).await;
            assert_eq!(removed.status, 204, "{removed:?}");
            // Their token is as good as ever, and opens nothing here any more.
            assert_eq!(get(&projects, &who).await, 404, "limit {limit}, round {round}");
            assert_eq!(get(&org, &who).await, 404, "limit {limit}, round {round}");
            assert_eq!(get("/me", &who).await, 200);
        }
        // And the other way round.
        let who = here.sign_in("last").await;
        here.join(&org, &owner, &who, "admin").await;
        for _ in 0..3 {
            assert_eq!(here.get(&projects, &who).await.status, 200);
        }
        let membership = format!("{org}/members/{}", who.id);
        let removed = send(&there, Method::DELETE, &membership, &owner, None).await;
        assert_eq!(removed.status, 204, "{removed:?}");
        assert_eq!(here.get(&projects, &who).await.status, 404, "limit {limit}");
        drop(there);
        here.stop().await;
    }
}
