//! What must hold when everybody comes at once, over HTTP.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Server, problem};

/// Runs `work` in `crowd` tasks that start at the same moment.
pub(crate) async fn at_once<F, Fut, T>(crowd: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(crowd));
    let mut tasks = JoinSet::new();
    for number in 0..crowd {
        let (barrier, work) = (Arc::clone(&barrier), work(number));
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_link_redeemed_by_sixteen_signs_in_once() {
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
async fn of_two_owners_who_leave_at_once_one_stays() {
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
