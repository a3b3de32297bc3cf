//! Deliveries are stored once each, in batches, independently of each other.

use mt_core::pg::ledger::{EventStatus, LedgerPolicy, Workers};
use mt_core::pg::{Database, DatabaseOptions};
use mt_core::testing::Relay;
use tokio::task::JoinSet;

use super::*;

const INSERT: &str = "insert into mt.webhook_events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_deliveries_make_one_row_and_one_effect() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    let mut senders = JoinSet::new();
    for _ in 0..64 {
        let ledger = ledger.clone();
        senders.spawn(async move { deliver(&ledger, "msg_1", "count").await });
    }
    let receipts = senders.join_all().await;
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    let event = world.event("msg_1").await;
    assert_eq!((event.status, event.deliveries), (EventStatus::Processed, 64));
    assert_eq!((event.attempts, world.counter().await), (1, 1));
    assert_eq!(world.number("select count(*) from mt.webhook_events").await, 1);
    assert_eq!(world.outcomes("msg_1").await, ["processed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_deliveries_are_stored_in_one_batch_and_applied_by_workers() {
    let world = World::new().await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(8);
    let overheard = Database::connect(options).await.unwrap();
    let ledger = Ledger::new(overheard.system(), Standard::default(), RetryPolicy::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            let until = async {
                let _ = stopped.await;
            };
            ledger.work(Workers { count: 3, batch: 8, ..Workers::default() }, until).await;
        }
    });
    let mut senders = JoinSet::new();
    for number in 0..300 {
        let ledger = ledger.clone();
        senders.spawn(
            async move { deliver(&ledger, &format!("msg_{}", number % 150), "count").await },
        );
    }
    let receipts = senders.join_all().await;
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 150);
    let done =
        "select count(*) from mt.webhook_events where status = 'processed' and deliveries = 2";
    eventually("all are applied", async || world.number(done).await == 150).await;
    assert_eq!(world.counter().await, 150);
    let inserts = relay.take_round_trips().iter().filter(|trip| trip.contains(INSERT)).count();
    assert!(inserts < 150, "{inserts} inserts for 300 deliveries");
    stop.send(()).unwrap();
    working.await.unwrap();
}

/// A text that Postgres does not take makes the whole insert fail; those who came along do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_cannot_be_stored_is_refused_alone() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for round in 0..5 {
        let mut senders = JoinSet::new();
        for number in 0..20 {
            let ledger = ledger.clone();
            senders.spawn(async move {
                let mut delivery = event(&format!("msg_{round}_{number}"), "count");
                if number == 7 {
                    delivery.kind.push('\0');
                }
                (number, ledger.receive(delivery).await)
            });
        }
        for (number, outcome) in senders.join_all().await {
            assert_eq!(outcome.is_err(), number == 7, "{number}: {outcome:?}");
        }
    }
    assert_eq!(world.number("select count(*) from mt.webhook_events").await, 5 * 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_that_disconnects_does_not_stop_other_deliveries() {
    let world = World::new().await;
    // There is no worker, so every call applies its own event.
    let policy = LedgerPolicy { apply_on_receipt: 20, ..LedgerPolicy::default() };
    let ledger = Ledger::new(world.database.system(), Standard::default(), policy);
    for polls in 1..=20 {
        let name = format!("msg_{polls}");
        crate::transactions::cancellation::cancelled_after(
            polls % 3 + 1,
            deliver(&ledger, &name, "count"),
        )
        .await;
    }
    eventually("all are applied", async || world.counter().await == 20).await;
    let left = "select count(*) from mt.webhook_events where status <> 'processed'";
    eventually("all are marked", async || world.number(left).await == 0).await;
}

#[tokio::test]
async fn first_body_of_an_event_is_kept() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    assert_eq!(deliver(&ledger, "msg_1", "count").await, receipt(EventStatus::Processed, false));
    // Providers render an event anew for each endpoint and each attempt.
    assert_eq!(deliver(&ledger, "msg_1", "fail").await, receipt(EventStatus::Processed, true));
    let first =
        "select count(*) from mt.webhook_events where convert_from(body, 'UTF8') like '%count\"%'";
    assert_eq!(world.number(first).await, 1);
}

/// The caller waits for each round trip.
#[tokio::test]
async fn an_event_is_stored_and_claimed_in_one_transaction() {
    let world = World::new().await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(1);
    let overheard = Database::connect(options).await.unwrap();
    let ledger = Ledger::new(overheard.system(), Standard::default(), RetryPolicy::default());
    deliver(&ledger, "msg_1", "count").await;
    drop(relay.take_round_trips());
    deliver(&ledger, "msg_2", "count").await;
    let trips = relay.take_round_trips();
    let kind = |trip: &'_ String| match trip.strip_suffix("commit") {
        Some(_) => "commit".to_owned(),
        None => trip.chars().take(12).collect(),
    };
    let kinds: Vec<String> = trips.iter().map(kind).collect();
    let store = ["begin isolat", "insert into ", "commit"];
    let apply = ["begin isolat", "update publi", "with settled", "commit"];
    assert_eq!(kinds, [&store[..], &apply[..]].concat());
    assert!(trips[3].contains("for update") && trips[3].contains("pg_advisory"), "{}", trips[3]);

    deliver(&ledger, "msg_3", "ignore early").await;
    drop(relay.take_round_trips());
    deliver(&ledger, "msg_4", "ignore early").await;
    let trips = relay.take_round_trips();
    assert_eq!(trips.len(), 6, "what has no effect needs no transaction for one: {trips:#?}");
}
