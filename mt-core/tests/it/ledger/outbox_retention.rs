//! Retention of messages that were sent, skipped or given up.

use mt_core::pg::ledger::outbox::{OutboxPurge, enqueue, purge};
use serde_json::json;

use super::outbox::{TestHandler, dispatcher, of_no_tenant, put, tenant};
use super::*;

const DAY: Duration = Duration::from_hours(24);

async fn keys(world: &World) -> Vec<String> {
    sqlx::query_scalar("select dedupe_key from mt.outbox order by 1")
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

/// A message that was done with `hours` ago.
async fn done(world: &World, key: &str, status: &str, expires: &str, hours: u32) {
    let tenant = match key.starts_with("tenant") {
        true => format!("'{}'", tenant(world).await),
        false => "null".to_owned(),
    };
    world
        .sql(&format!(
            "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload, status, expires_at, done_at) \
             values ({tenant}, gen_random_uuid(), 'mail', '{key}', '{{\"sealed\": \"x\"}}', '{status}', \
                 {expires}, now() - interval '{hours} hours')"
        ))
        .await;
}

/// The payload of a message is deleted when the message is sent, and a message without a tenant a day later.
#[tokio::test]
async fn sent_messages_lose_their_payload_and_are_purged_after_a_day() {
    let world = World::new().await;
    for is_new in [true, false] {
        let mut tx = world.database.system().begin(LOOK).await.unwrap();
        let message = of_no_tenant("mail:1", json!({"sealed": "x"}));
        assert_eq!(enqueue(tx.conn(), &message).await.unwrap(), is_new);
        tx.commit().await.unwrap();
    }
    let kept = tenant(&world).await;
    put(&world, kept, "a fact").await;
    let post = Arc::new(TestHandler::default());
    let dispatcher = dispatcher(&world, &post, RetryPolicy::default());
    while dispatcher.dispatch_next().await.unwrap() {}
    let payloads = "select count(*) from mt.outbox where payload = 'null'";
    assert_eq!(world.number(payloads).await, 2);
    let system = world.database.system();
    assert_eq!(purge(&system, None).await.unwrap(), OutboxPurge::default(), "within the day");
    world.sql("update mt.outbox set done_at = now() - interval '25 hours'").await;
    assert_eq!(purge(&system, None).await.unwrap().messages, 1);
    assert_eq!(keys(&world).await, ["a fact"]);
}

/// The controls are the messages that stay: what is not done with, not old enough or still of use.
#[tokio::test]
async fn sent_and_dead_messages_are_deleted_after_retention() {
    let world = World::new().await;
    let (future, past) = ("now() + interval '1 day'", "now() - interval '25 hours'");
    for (key, status, expires, hours) in [
        ("mail dead and of use", "dead", future, 25),
        ("mail dead and of no use", "dead", past, 25),
        ("mail sent", "sent", past, 25),
        ("mail sent just now", "sent", past, 23),
        ("tenant dead and of use", "dead", future, 25),
        ("tenant dead and of no use", "dead", past, 25),
        ("tenant dead for long", "dead", "null", 24 * 31),
        ("tenant sent for long", "sent", "null", 24 * 31),
        ("tenant skipped for long", "skipped", "null", 24 * 31),
        ("tenant sent", "sent", past, 24 * 29),
    ] {
        done(&world, key, status, expires, hours).await;
    }
    let kept = tenant(&world).await;
    put(&world, kept, "waits").await;
    world.sql("update mt.outbox set created_at = now() - interval '100 days'").await;

    let system = world.database.system();
    let purged = purge(&system, Some(30 * DAY)).await.unwrap();
    assert_eq!(purged, OutboxPurge { messages: 5, payloads: 2 });
    assert_eq!(
        keys(&world).await,
        [
            "mail dead and of use",
            "mail sent just now",
            "tenant dead and of no use",
            "tenant dead and of use",
            "tenant sent",
            "waits"
        ]
    );
    let with_payload = "select count(*) from mt.outbox where payload <> 'null' and dedupe_key in \
         ('mail dead and of use', 'mail sent just now', 'tenant dead and of use', 'waits')";
    assert_eq!(world.number(with_payload).await, 4);
    assert_eq!(world.number("select count(*) from mt.outbox where payload <> 'null'").await, 4);
    assert_eq!(purge(&system, Some(30 * DAY)).await.unwrap(), OutboxPurge::default());
}

/// More than fit into one transaction.
#[tokio::test]
async fn purge_continues_until_nothing_is_left() {
    let world = World::new().await;
    world
        .sql(
            "insert into mt.outbox (id, topic, dedupe_key, payload, status, done_at) \
             select gen_random_uuid(), 'mail', n::text, 'null', 'sent', now() - interval '2 days' \
             from generate_series(1, 1200) n",
        )
        .await;
    let purged = purge(&world.database.system(), None).await.unwrap();
    assert_eq!(purged, OutboxPurge { messages: 1200, payloads: 0 });
}
