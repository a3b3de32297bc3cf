//! Counters of attempts and of waiting events.

use super::*;

#[tokio::test]
async fn attempts_are_counted_by_outcome() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for (id, effect) in [("msg_1", "count"), ("msg_2", "count"), ("msg_3", "ignore early")] {
        deliver(&ledger, id, effect).await;
    }
    deliver(&ledger, "msg_1", "count").await;
    let stats = ledger.stats();
    assert_eq!((stats.deliveries, stats.duplicates), (4, 1), "{stats:?}");
    assert_eq!((stats.processed, stats.ignored), (2, 1), "{stats:?}");
    assert_eq!((stats.failed, stats.dead, stats.lost), (0, 0, 0), "{stats:?}");
    // Another's counts are its own.
    assert_eq!(world.ledger(RetryPolicy::default()).stats().deliveries, 0);
}

#[tokio::test]
async fn due_events_of_all_processes_are_counted() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    assert_eq!(ledger.backlog().await.unwrap().due, 0);
    for number in 1..=3 {
        world.store(event(&format!("msg_{number}"), "count")).await;
    }
    world
        .sql(
            "update mt.webhook_events set next_attempt_at = now() - interval '90 seconds' \
              where event_id = 'msg_2'",
        )
        .await;
    world.sql("update mt.webhook_events set status = 'dead' where event_id = 'msg_3'").await;
    let backlog = ledger.backlog().await.unwrap();
    assert_eq!((backlog.due, backlog.dead), (2, 1), "{backlog:?}");
    assert!((90..100).contains(&backlog.overdue.as_secs()), "{backlog:?}");
    // What waits for its time is not due.
    world.sql("update mt.webhook_events set next_attempt_at = now() + interval '1 hour'").await;
    let backlog = ledger.backlog().await.unwrap();
    assert_eq!((backlog.due, backlog.overdue), (0, Duration::ZERO));
}
