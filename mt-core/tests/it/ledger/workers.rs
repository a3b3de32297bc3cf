//! Workers: wake-ups, polling, and a stop that releases their leases.

use mt_core::pg::ledger::{EventStatus, Workers};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

fn start(ledger: &Ledger<Standard>, workers: Workers) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let ledger = ledger.clone();
    let working = tokio::spawn(async move {
        let until = async {
            let _ = stopped.await;
        };
        ledger.work(workers, until).await;
    });
    (stop, working)
}

#[tokio::test]
async fn worker_wakes_up_when_an_event_is_stored() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    // They would look again in an hour.
    let workers = Workers { poll: Duration::from_hours(1), ..Workers::default() };
    let (stop, working) = start(&ledger, workers);
    for round in 1..=10 {
        world.store(event(&format!("msg_{round}"), "count")).await;
        ledger.wake_workers();
        eventually("it is applied", async || world.counter().await == round).await;
    }
    stop.send(()).unwrap();
    working.await.unwrap();
}

#[tokio::test]
async fn worker_finds_events_stored_by_another_process() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    let workers = Workers { poll: Duration::from_millis(20), ..Workers::default() };
    let (stop, working) = start(&ledger, workers);
    world.store(event("msg_1", "count")).await;
    eventually("it is applied", async || world.counter().await == 1).await;
    stop.send(()).unwrap();
    working.await.unwrap();
}

/// Stopped in the middle of a batch: the event under way is ended, the others are given back at once and
/// as they were, so that no other worker has to wait for leases.
#[tokio::test]
async fn stopping_worker_releases_events_it_has_not_started() {
    let world = World::new().await;
    let (ledger, gate) = world.gated(RetryPolicy::default());
    world.store(event("msg_0", "slow")).await;
    for number in 1..=5 {
        world.store(event(&format!("msg_{number}"), "count")).await;
    }
    let (stop, working) = start(&ledger, Workers { count: 1, ..Workers::default() });
    gate.entered.notified().await;
    let claimed = "select count(*) from mt.webhook_events where status = 'processing'";
    assert_eq!(world.number(claimed).await, 6);
    stop.send(()).unwrap();
    // It cannot end before it is let through.
    assert!(!working.is_finished());
    gate.opened.notify_one();
    working.await.unwrap();
    assert_eq!(world.number(claimed).await, 0);
    assert_eq!(world.event("msg_0").await.status, EventStatus::Processed);
    for number in 1..=5 {
        let event = world.event(&format!("msg_{number}")).await;
        assert_eq!((event.status, event.attempts), (EventStatus::Received, 0));
    }
    let other = world.ledger(RetryPolicy::default());
    while other.apply_next_due().await.unwrap() {}
    assert_eq!(world.counter().await, 6);
}

/// A process need not live for long to purge, and it purges in batches until nothing is left.
#[tokio::test]
async fn starting_worker_purges_old_events() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for id in ["msg_old", "msg_new"] {
        deliver(&ledger, id, "count").await;
    }
    world
        .sql(
            "update mt.webhook_events set received_at = now() - interval '25 hours' \
              where event_id = 'msg_old'; \
             insert into mt.webhook_events (id, provider, event_id, type, body, status, processed_at, received_at) \
             select gen_random_uuid(), provider, 'msg_' || n, type, body, status, processed_at, received_at \
             from mt.webhook_events, generate_series(1, 1200) n where event_id = 'msg_old'",
        )
        .await;
    let bodies = "select count(*) from mt.webhook_events where body is not null";
    let day = Some(Duration::from_hours(24));
    // Told to stop, it does not begin.
    ledger.work(Workers { keep_bodies: day, ..Workers::default() }, async {}).await;
    assert_eq!(world.number(bodies).await, 1202);
    for (keep, kept) in [(None, 1202), (day, 1)] {
        let (stop, working) = start(&ledger, Workers { keep_bodies: keep, ..Workers::default() });
        eventually("bodies are gone, or kept", async || world.number(bodies).await == kept).await;
        stop.send(()).unwrap();
        working.await.unwrap();
        assert_eq!(world.number(bodies).await, kept);
    }
}
