//! Lanes: an urgent message waits behind no message of another lane.

use mt_core::pg::ledger::outbox::{Lane, NewMessage, enqueue};
use serde_json::json;

use super::outbox::{TestHandler, dispatcher};
use super::*;

async fn put(world: &World, lane: Lane, key: &str) {
    let payload = json!({});
    let message = NewMessage { tenant: None, topic: "mail", lane, dedupe_key: key, payload };
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    assert!(enqueue(tx.conn(), &message).await.unwrap());
    tx.commit().await.unwrap();
}

/// The control is the main lane, whose dispatcher takes its messages in turn and the urgent one never.
#[tokio::test]
async fn dispatcher_takes_messages_of_its_own_lane_only() {
    let world = World::new().await;
    for number in 0..300 {
        put(&world, Lane::Main, &format!("main {number:03}")).await;
    }
    put(&world, Lane::Urgent, "urgent").await;
    let post = Arc::new(TestHandler::default());
    let seen = || post.seen.lock().unwrap().clone();
    let urgent = dispatcher(&world, &post, RetryPolicy::default()).in_lane(Lane::Urgent);
    assert!(urgent.dispatch_next().await.unwrap());
    assert_eq!(seen(), ["urgent"]);
    assert!(!urgent.dispatch_next().await.unwrap());

    put(&world, Lane::Urgent, "urgent too").await;
    let main = dispatcher(&world, &post, RetryPolicy::default());
    while main.dispatch_next().await.unwrap() {}
    let seen = seen();
    assert_eq!((seen.len(), seen[1].as_str()), (301, "main 000"));
    assert!(!seen.contains(&"urgent too".to_owned()));
}

/// Messages of a server that knows no lanes are of the main one.
#[tokio::test]
async fn message_without_a_lane_is_in_the_main_lane() {
    let world = World::new().await;
    world
        .sql(
            "insert into mt.outbox (id, topic, dedupe_key, payload) \
             values (gen_random_uuid(), 'mail', 'of an earlier version', '{}')",
        )
        .await;
    let post = Arc::new(TestHandler::default());
    let main = dispatcher(&world, &post, RetryPolicy::default());
    assert!(main.dispatch_next().await.unwrap());
}
