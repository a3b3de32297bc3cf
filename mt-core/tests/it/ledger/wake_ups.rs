//! Events that wait for a link are woken, also if the link is created between lookup and wait.

use std::sync::atomic::{AtomicBool, Ordering};

use mt_core::pg::ledger::{EventStatus, wake};

use super::*;

async fn link_and_wake(database: &Database, world: &World) -> u64 {
    world.sql("insert into public.links values ('c-1')").await;
    let mut tx = database.system().begin(LOOK).await.unwrap();
    let woken = wake(&mut tx, "standard", "", "c-1").await.unwrap();
    tx.commit().await.unwrap();
    woken
}

fn patient() -> RetryPolicy {
    RetryPolicy { backoff: Duration::from_hours(1), ..RetryPolicy::default() }
}

#[tokio::test]
async fn waiting_event_is_due_at_once_after_the_link() {
    let world = World::new().await;
    let (ledger, gate) = world.gated(patient());
    gate.opened.notify_one();
    assert_eq!(deliver(&ledger, "msg_1", "wait").await, receipt(EventStatus::Failed, false));
    assert!(!ledger.apply_next_due().await.unwrap(), "in an hour");
    assert_eq!(link_and_wake(&world.database, &world).await, 1);
    assert!(ledger.apply_next_due().await.unwrap());
    assert_eq!((world.counter().await, world.event("msg_1").await.attempts), (1, 2));
}

/// An attempt has looked for the link and not found it. Then the link is made, and its creator looks
/// for events that wait, before the attempt has said that it does. How many they find, and whether the
/// event is due then.
async fn in_between(world: &World, database: &Database) -> (u64, bool) {
    let (ledger, gate) = world.gated(patient());
    let attempt = tokio::spawn({
        let ledger = ledger.clone();
        async move { deliver(&ledger, "msg_1", "wait").await }
    });
    gate.entered.notified().await;
    let looked = AtomicBool::new(false);
    let linking = async {
        let woken = link_and_wake(database, world).await;
        looked.store(true, Ordering::SeqCst);
        woken
    };
    let opening = async {
        let waits = "select count(*) from pg_stat_activity \
             where datname = current_database() and wait_event_type = 'Lock'";
        eventually("it waits for the attempt, or does not", async || {
            world.number(waits).await == 1 || looked.load(Ordering::SeqCst)
        })
        .await;
        gate.opened.notify_one();
    };
    let (woken, ()) = tokio::join!(linking, opening);
    assert_eq!(attempt.await.unwrap(), receipt(EventStatus::Failed, false));
    (woken, ledger.apply_next_due().await.unwrap())
}

#[tokio::test]
async fn link_created_between_lookup_and_wait_wakes_the_event() {
    let world = World::new().await;
    assert_eq!(in_between(&world, &world.database).await, (1, true));
    assert_eq!(world.counter().await, 1);
}

/// The control: a wake-up that does not wait for the attempt finds no event, and the event waits for its
/// hour.
#[tokio::test]
async fn without_waiting_for_the_attempt_the_wake_up_is_missed() {
    let world = World::new().await;
    let (_relay, hasty) = world
        .rewritten(|sql| {
            let under_way = "status in ('failed', 'processing')";
            sql.contains("customer_id = $3").then(|| sql.replace(under_way, "status = 'failed'"))
        })
        .await;
    assert_eq!(in_between(&world, &hasty).await, (0, false));
    assert_eq!(world.counter().await, 0);
}
