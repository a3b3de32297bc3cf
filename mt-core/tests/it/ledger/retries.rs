//! Retries: failures are limited, an event that kills its worker runs alone, and other events continue.

use mt_core::pg::ledger::{EventStatus, Workers};

use super::*;

#[tokio::test]
async fn failed_attempt_is_rolled_back_and_attempts_are_limited() {
    let world = World::new().await;
    let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    let ledger = world.ledger(policy);
    for (id, effect, line) in [
        ("msg_1", "fail", "broken: it did"),
        ("msg_2", "break", "database: database refused a statement"),
        ("msg_3", "panic", "panic: the log says where"),
    ] {
        assert_eq!(deliver(&ledger, id, effect).await, receipt(EventStatus::Failed, false));
        assert!(!ledger.apply_next_due().await.unwrap(), "it waits its second out");
        for _ in 2..=3 {
            world.later().await;
            assert!(ledger.apply_next_due().await.unwrap());
        }
        let event = world.event(id).await;
        assert_eq!((event.status, event.attempts), (EventStatus::Dead, 3), "{effect}");
        assert_eq!(event.last_error.as_deref(), Some(line));
        assert_eq!(event.next_attempt_at, None);
        assert_eq!(world.outcomes(id).await, ["failed", "failed", "dead"]);
        world.later().await;
        assert!(!ledger.apply_next_due().await.unwrap());
    }
    assert_eq!(world.counter().await, 0);
}

/// Retries do not mend what can never be applied. The control is the event that fails beside it, which waits for
/// its next attempt.
#[tokio::test]
async fn unprocessable_event_is_dead_at_once_with_the_reason() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for (id, effect, status, line) in [
        ("msg_1", "malformed", EventStatus::Dead, "malformed: no amount"),
        ("msg_2", "hopeless", EventStatus::Dead, "hopeless: it is"),
        ("msg_3", "fail", EventStatus::Failed, "broken: it did"),
    ] {
        for duplicate in [false, true] {
            let receipt = ledger.receive(event(id, effect)).await.unwrap();
            assert_eq!((receipt.status, receipt.duplicate), (status, duplicate), "{effect}");
            assert_eq!(receipt.reason.as_deref(), Some(line), "{effect}");
        }
        let event = world.event(id).await;
        assert_eq!((event.status, event.attempts), (status, 1), "{effect}");
        assert_eq!(event.last_error.as_deref(), Some(line));
        assert_eq!(event.next_attempt_at.is_none(), status == EventStatus::Dead, "{effect}");
    }
    // The effect was rolled back, and the operators' figures count both.
    assert_eq!(world.counter().await, 0);
    assert_eq!((ledger.stats().dead, ledger.backlog().await.unwrap().dead), (2, 2));
    let receipt = ledger.receive(event("msg_4", "count")).await.unwrap();
    assert_eq!((receipt.status, receipt.reason), (EventStatus::Processed, None));
}

#[tokio::test]
async fn backoff_doubles_with_a_quarter_of_jitter() {
    let world = World::new().await;
    let policy = RetryPolicy { backoff: Duration::from_mins(1), ..RetryPolicy::default() };
    let ledger = world.ledger(policy);
    deliver(&ledger, "msg_1", "fail").await;
    for attempt in 0..5 {
        let wait = "select (extract(epoch from next_attempt_at - clock_timestamp()) * 1000)::bigint \
             from mt.webhook_events";
        let (wait, full) = (world.number(wait).await, 60_000 << attempt);
        assert!(
            (full * 3 / 4 - 2_000..=full * 5 / 4).contains(&wait),
            "{attempt}: {wait} of {full}"
        );
        world.later().await;
        assert!(ledger.apply_next_due().await.unwrap());
    }
}

#[tokio::test]
async fn retry_after_of_the_handler_is_respected() {
    let world = World::new().await;
    deliver(&world.ledger(hasty()), "msg_1", "put off").await;
    let wait = "select extract(epoch from next_attempt_at - clock_timestamp())::bigint \
         from mt.webhook_events";
    let wait = world.number(wait).await;
    assert!((7_190..=7_200).contains(&wait), "{wait}");
}

#[tokio::test]
async fn ignored_event_records_the_reason() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for (id, effect, why) in [("msg_1", "ignore early", "early"), ("msg_2", "ignore", "late")] {
        assert_eq!(deliver(&ledger, id, effect).await, receipt(EventStatus::Ignored, false));
        let event = world.event(id).await;
        assert_eq!((event.reason.as_deref(), event.last_error.as_deref()), (Some(why), Some(why)));
    }
}

#[tokio::test]
async fn waiting_event_is_limited_by_time_and_not_by_attempts() {
    let world = World::new().await;
    let policy = RetryPolicy { max_attempts: 2, ..hasty() };
    let (ledger, gate) = world.gated(policy);
    gate.opened.notify_one();
    deliver(&ledger, "msg_1", "wait").await;
    for _ in 0..5 {
        world.later().await;
        assert!(ledger.apply_next_due().await.unwrap());
    }
    let event = world.event("msg_1").await;
    assert_eq!((event.status, event.attempts), (EventStatus::Failed, 6));
    world.sql("update mt.webhook_events set received_at = now() - interval '73 hours'").await;
    world.later().await;
    assert!(ledger.apply_next_due().await.unwrap());
    assert_eq!(world.event("msg_1").await.status, EventStatus::Dead);
    assert_eq!(world.counter().await, 0);
}

/// One that fails among a thousand that do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_event_does_not_delay_a_thousand_others() {
    let world = World::new().await;
    let policy = RetryPolicy { max_attempts: 3, ..hasty() };
    let ledger = world.ledger(policy);
    world.store(event("msg_bad", "fail")).await;
    world
        .sql(
            "insert into mt.webhook_events (id, provider, event_id, type, body) \
             select gen_random_uuid(), 'standard', 'msg_' || n, 't', '{}' from generate_series(1, 1000) n",
        )
        .await;
    let done = "select count(*) from mt.webhook_events where status = 'processed'";
    let work = ledger.work(Workers::default(), async {
        eventually("the others go on", async || world.number(done).await == 1000).await;
        eventually("it runs out", async || {
            world.event("msg_bad").await.status == EventStatus::Dead
        })
        .await;
    });
    work.await;
    assert_eq!(world.counter().await, 1000);
    let tried_again = "select count(*) from mt.webhook_events where attempts > 1";
    assert_eq!(world.number(tried_again).await, 1, "only the bad one was tried again");
    assert_eq!(world.outcomes("msg_bad").await, ["failed", "failed", "dead"]);
}

/// A worker is killed by an event, with others in its hands. They are applied all the same, none of them
/// counts that against itself, and the killer is dead after so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_kills_its_worker_is_retried_alone_and_then_dead() {
    let world = World::new().await;
    let policy = RetryPolicy { max_attempts: 3, lease: Duration::from_millis(200), ..hasty() };
    world.store(event("msg_bad", "kill")).await;
    for number in 0..30 {
        world.store(event(&format!("msg_{number}"), "count")).await;
    }
    let mut killed = 0;
    loop {
        let (ledger, gate) = world.gated(policy);
        let workers =
            Workers { count: 1, batch: 16, poll: Duration::from_millis(10), ..Workers::default() };
        let worker =
            tokio::spawn(async move { ledger.work(workers, std::future::pending()).await });
        let dead = eventually("it is dead, or kills again", async || {
            world.event("msg_bad").await.status == EventStatus::Dead
        });
        tokio::select! {
            () = gate.entered.notified() => killed += 1,
            () = dead => {
                let left = "select count(*) from mt.webhook_events where status <> 'processed'";
                eventually("the others are applied", async || world.number(left).await == 1).await;
                worker.abort();
                break;
            }
        }
        worker.abort();
    }
    // Once in a batch, which counts against no event, and three times alone.
    assert_eq!(killed, 4);
    assert_eq!(world.counter().await, 30);
    let event = world.event("msg_bad").await;
    assert_eq!(event.reason.as_deref(), Some("attempts_exhausted"));
    assert_eq!(world.outcomes("msg_bad").await, ["abandoned"; 4]);
    let blamed =
        "select count(*) from mt.webhook_events where failures > 0 and event_id <> 'msg_bad'";
    assert_eq!(world.number(blamed).await, 0);
}
