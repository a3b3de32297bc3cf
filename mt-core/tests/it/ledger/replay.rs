//! Replay, retention and lists of events, as operators use them.

use mt_core::pg::ledger::{
    EventStatus, Filter, Provider as _, ReplayError, ReplayRequest, body, list,
};
use mt_core::text_enum::TextEnum as _;

use super::*;

fn ada() -> ReplayRequest {
    ReplayRequest::by("ada")
}

#[tokio::test]
async fn replay_applies_an_unapplied_event_once_and_is_recorded() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy { max_attempts: 1, ..RetryPolicy::default() });
    deliver(&ledger, "msg_done", "count").await;
    deliver(&ledger, "msg_dead", "fail").await;
    deliver(&ledger, "msg_ignored", "ignore early").await;
    // What was in their way is mended.
    let mended = r#"update mt.webhook_events set body = '{"data": {"effect": "count"}}' where body is not null"#;
    world.sql(mended).await;
    for (id, before) in
        [("msg_done", "processed"), ("msg_dead", "dead"), ("msg_ignored", "ignored")]
    {
        assert_eq!(world.event(id).await.status.as_str(), before);
        let event = ledger.replay(id, &ada()).await.unwrap();
        assert_eq!((event.status, event.attempts), (EventStatus::Processed, 1), "{id}");
        let asked: Vec<_> = world
            .history(id)
            .await
            .into_iter()
            .filter(|entry| entry.outcome == "replay")
            .map(|entry| (entry.actor.unwrap(), entry.detail.unwrap()))
            .collect();
        assert_eq!(asked, [("ada".to_owned(), before.to_owned())]);
    }
    assert_eq!(world.counter().await, 3);
    for id in ["msg_done", "msg_dead", "msg_ignored"] {
        let again = ledger.replay(id, &ada()).await.unwrap();
        assert_eq!((again.status, again.attempts), (EventStatus::Processed, 1));
    }
    assert_eq!(world.counter().await, 3, "asking again changes nothing");
    assert_eq!(world.outcomes("msg_dead").await, ["dead", "replay", "processed", "replay"]);

    // Only by force: it is for the effect to be idempotent, and this one is not.
    let forced = ledger.replay("msg_done", &ada().force()).await.unwrap();
    assert_eq!(forced.status, EventStatus::Processed);
    assert_eq!(world.counter().await, 4);
}

#[tokio::test]
async fn replay_of_a_processing_or_unknown_event_changes_nothing() {
    let world = World::new().await;
    let (ledger, gate) = world.gated(RetryPolicy::default());
    let unknown = ledger.replay("msg_none", &ada()).await;
    assert!(matches!(unknown, Err(ReplayError::NotFound)), "{unknown:?}");
    for (id, effect) in [("msg_1", "slow before"), ("msg_2", "slow")] {
        let (slow, gate) = if id == "msg_1" {
            (ledger.clone(), Arc::clone(&gate))
        } else {
            world.gated(RetryPolicy::default())
        };
        let delivering = tokio::spawn(async move { deliver(&slow, id, effect).await });
        gate.entered.notified().await;
        let refused = ledger.replay(id, &ada()).await;
        assert!(matches!(refused, Err(ReplayError::UnderWay)), "{effect}: {refused:?}");
        gate.opened.notify_one();
        assert_eq!(delivering.await.unwrap(), receipt(EventStatus::Processed, false));
    }
    assert_eq!(world.counter().await, 2);
}

/// A replay and a worker at the same moment: one of them applies it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_beside_running_workers_applies_the_event_once() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for round in 0..20 {
        let id = format!("msg_{round}");
        world.store(event(&id, "count")).await;
        let request = ada();
        let (replayed, _) = tokio::join!(ledger.replay(&id, &request), ledger.apply_next_due());
        assert!(matches!(replayed, Ok(_) | Err(ReplayError::UnderWay)), "{replayed:?}");
        let done = async || world.event(&id).await.status == EventStatus::Processed;
        eventually("it is applied", done).await;
    }
    assert_eq!(world.counter().await, 20);
}

#[tokio::test]
async fn event_bodies_are_deleted_after_retention_and_ids_are_kept() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy { max_attempts: 1, ..RetryPolicy::default() });
    deliver(&ledger, "msg_done", "count").await;
    deliver(&ledger, "msg_dead", "fail").await;
    world.store(event("msg_waiting", "count")).await;
    let day = Duration::from_hours(24);
    assert_eq!(ledger.purge_bodies(day).await.unwrap(), 0, "all are of today");
    world.sql("update mt.webhook_events set received_at = now() - interval '25 hours'").await;
    assert_eq!(ledger.purge_bodies(day).await.unwrap(), 2, "not what is to be applied yet");
    assert_eq!(ledger.purge_bodies(day).await.unwrap(), 0);

    let done = world.event("msg_done").await;
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    assert_eq!(body(&mut tx, done.id).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(deliver(&ledger, "msg_done", "count").await, receipt(EventStatus::Processed, true));
    assert_eq!(ledger.replay("msg_done", &ada()).await.unwrap().status, EventStatus::Processed);
    for request in [ada(), ada().force()] {
        let refused = ledger.replay("msg_dead", &request).await;
        assert!(matches!(refused, Err(ReplayError::BodyPurged)), "{refused:?}");
    }
    assert!(ledger.apply_next_due().await.unwrap());
    assert_eq!(world.counter().await, 2);
    // The guard behind it: what is still to be applied cannot lose its body.
    let refused = sqlx::query(
        "update mt.webhook_events set body = null, status = 'received', processed_at = null",
    )
    .execute(world.db.admin())
    .await
    .unwrap_err();
    let refused = refused.into_database_error().unwrap();
    assert_eq!(refused.constraint(), Some("webhook_events_body_check"));
}

#[tokio::test]
async fn event_lists_are_filtered_and_paginated_newest_first() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    for number in 0..5 {
        deliver(&ledger, &format!("msg_{number}"), "count").await;
    }
    deliver(&ledger, "msg_failed", "fail").await;
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    let mut ids = async |filter: Filter, before, limit| {
        let events = list(&mut tx, Standard::NAME, &filter, before, limit).await.unwrap();
        events.into_iter().map(|event| (event.event_id, event.id)).collect::<Vec<_>>()
    };
    let all = ids(Filter::default(), None, 10).await;
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["msg_failed", "msg_4", "msg_3", "msg_2", "msg_1", "msg_0"]);
    assert_eq!(ids(Filter::default(), Some(all[1].1), 2).await, all[2..4]);
    let failed = Filter { status: Some(EventStatus::Failed), ..Filter::default() };
    assert_eq!(ids(failed, None, 10).await, all[..1]);
    let kind = |kind: &str| Filter { kind: Some(kind.to_owned()), ..Filter::default() };
    assert_eq!(ids(kind("count.asked"), None, 10).await.len(), 6);
    assert!(ids(kind("other"), None, 10).await.is_empty());
    let customer = |name: &str| Filter { customer_id: Some(name.to_owned()), ..Filter::default() };
    assert_eq!(ids(customer("c-1"), None, 10).await.len(), 6);
    assert!(ids(customer("c-2"), None, 10).await.is_empty());
    tx.commit().await.unwrap();
}
