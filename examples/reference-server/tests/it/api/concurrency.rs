//! Concurrent requests: magic links, and owners who leave.

use std::sync::Arc;

use serde_json::json;

use crate::support::concurrent::at_once;
use crate::support::{Server, problem};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_redeemed_by_sixteen_clients_signs_in_once() {
    let server = Arc::new(Server::start().await);
    for round in 0..3 {
        let link = server.link("ada@example.org").await;
        let outcomes = at_once(16, |_| {
            let (server, link) = (Arc::clone(&server), link.clone());
            async move { server.redeem(&link).await.outcome() }
        })
        .await;
        let signed_in = outcomes.iter().filter(|outcome| outcome.0 == 200).count();
        let used =
            outcomes.iter().filter(|outcome| **outcome == problem(400, "magic-link-used")).count();
        assert_eq!((signed_in, used), (1, 15), "round {round}: {outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_owners_leaving_concurrently_keep_one_owner() {
    let server = Arc::new(Server::start().await);
    let owners = [server.sign_in("first").await, server.sign_in("second").await];
    for round in 0..50 {
        let org = server.org(&owners[0]).await;
        server.join(&org, &owners[0], &owners[1], "admin").await;
        let second = format!("{org}/members/{}", owners[1].id);
        let made = server.patch(&second, &owners[0], json!({"role": "owner"})).await;
        assert_eq!(made.status, 200, "{made:?}");
        let mut outcomes = at_once(2, |number| {
            let (server, owner) = (Arc::clone(&server), owners[number].clone());
            let path = format!("{org}/members/{}", owner.id);
            async move { server.delete(&path, &owner).await.outcome() }
        })
        .await;
        outcomes.sort();
        assert_eq!(outcomes, [problem(204, ""), problem(409, "last-owner")], "round {round}");
    }
}
