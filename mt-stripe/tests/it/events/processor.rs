//! The processor loses no event, applies none twice, and does not depend on their order.

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::billing;
use mt_core::pg::ledger::{EventStatus, ReplayError, ReplayRequest, RetryPolicy};
use mt_stripe::{PROVIDER, StripeConfig};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{SETUP, START, World, deliver, invoice, subscription};

fn row(plan: &str, status: &str) -> (String, String, Option<i64>, bool) {
    (plan.to_owned(), status.to_owned(), None, false)
}

fn ada() -> ReplayRequest {
    ReplayRequest::by("ada")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_deliveries_are_one_event_and_one_effect() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = Arc::new(world.processor());
    let mut senders = JoinSet::new();
    for _ in 0..64 {
        let processor = Arc::clone(&processor);
        let event = subscription("evt_1", "cus_1", "active", 1);
        senders.spawn(async move { deliver(&processor, &event).await });
    }
    let receipts = senders.join_all().await;
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    let (status, _, deliveries, attempts) = world.event("evt_1").await;
    assert_eq!((status.as_str(), deliveries, attempts), ("processed", 64, 1));
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
}

#[tokio::test]
async fn replaying_everything_changes_nothing() {
    let world = World::new().await;
    world.payer("cus_1").await;
    let processor = world.processor();
    let events = [
        subscription("evt_1", "cus_1", "trialing", 0),
        subscription("evt_2", "cus_1", "past_due", 5),
        invoice("evt_3", "cus_1", "invoice.payment_failed", 5),
    ];
    for event in &events {
        deliver(&processor, event).await;
    }
    let before = world.projection().await;
    for event in &events {
        let again = deliver(&processor, event).await;
        assert_eq!((again.status, again.duplicate), (EventStatus::Processed, true));
        let replayed = processor.replay(event["id"].as_str().unwrap(), &ada()).await.unwrap();
        assert_eq!((replayed.status, replayed.attempts), (EventStatus::Processed, 1));
    }
    // Applied once more, in either order, and still nothing: the join is idempotent by itself.
    for event in events.iter().chain(events.iter().rev()) {
        let id = event["id"].as_str().unwrap();
        let replayed = processor.replay(id, &ada().force()).await.unwrap();
        assert_eq!(replayed.status, EventStatus::Processed);
    }
    assert_eq!(world.projection().await, before);
    // The control: what is compared does show a change.
    deliver(&processor, &subscription("evt_4", "cus_1", "active", 9)).await;
    assert_ne!(world.projection().await, before);
    let unknown = processor.replay("evt_none", &ada()).await;
    assert!(matches!(unknown, Err(ReplayError::NotFound)), "{unknown:?}");
}

#[tokio::test]
async fn any_order_and_any_repetition_end_in_the_same_state() {
    let lifecycle: Vec<Value> = vec![
        subscription("evt_a", "cus_1", "incomplete", 0),
        subscription("evt_b", "cus_1", "active", 1),
        invoice("evt_c", "cus_1", "invoice.paid", 1),
        subscription("evt_d", "cus_1", "past_due", 50),
        invoice("evt_e", "cus_1", "invoice.payment_failed", 50),
        subscription("evt_f", "cus_1", "past_due", 60),
    ];
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut below = move |n: usize| {
        use proptest::prelude::Rng as _;
        usize::try_from(rng.next_u32()).unwrap() % n
    };
    for shuffle in 0..8 {
        let world = World::new().await;
        let tenant = world.payer("cus_1").await;
        let processor = world.processor();
        let mut deliveries = lifecycle.clone();
        deliveries.extend(lifecycle.iter().take(3).cloned());
        for last in (1..deliveries.len()).rev() {
            deliveries.swap(last, below(last + 1));
        }
        for event in &deliveries {
            deliver(&processor, event).await;
        }
        let ends = ("pro".to_owned(), "past_due".to_owned(), Some(START + 50), false);
        assert_eq!(world.paid_for(tenant).await, ends, "shuffle {shuffle}");
    }
}

#[tokio::test]
async fn event_waits_for_its_customer_link_and_is_then_applied() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let other = world.payer("cus_other").await;
    // A link in the event's metadata, which the caller that opened the payment page sets.
    let mut event = subscription("evt_1", "cus_late", "active", 1);
    event["data"]["object"]["client_reference_id"] = json!(other);
    event["data"]["object"]["metadata"] = json!({"org_id": other, "tenant_id": other});
    let retry = RetryPolicy { backoff: Duration::from_hours(1), ..RetryPolicy::default() };
    let processor = world.processor_with(StripeConfig { policy: retry.into(), ..World::config() });
    let receipt = deliver(&processor, &event).await;
    assert_eq!(receipt.status, EventStatus::Failed);
    let (status, reason, ..) = world.event("evt_1").await;
    assert_eq!((status.as_str(), reason.as_deref()), ("failed", Some("unlinked_customer")));
    assert_eq!(world.paid_for(other).await, row("free", "none"));
    assert!(!processor.apply_next_due().await.unwrap(), "it waits its time out");

    world.link(tenant, "cus_late").await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    assert_eq!(billing::wake(&mut tx, PROVIDER, "cus_late").await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(processor.apply_next_due().await.unwrap());
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
    assert_eq!(world.paid_for(other).await, row("free", "none"));
}

#[tokio::test]
async fn unlinked_event_expires_and_an_operator_can_replay_it() {
    let world = World::new().await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    world
        .sql(
            "update mt.webhook_events set received_at = now() - interval '73 hours', \
                 next_attempt_at = now()",
        )
        .await;
    assert!(processor.apply_next_due().await.unwrap());
    assert_eq!(world.event("evt_1").await.0, "dead");
    assert!(!processor.apply_next_due().await.unwrap());

    let tenant = world.payer("cus_1").await;
    let replayed = processor.replay("evt_1", &ada()).await.unwrap();
    assert_eq!(replayed.status, EventStatus::Processed);
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
}

#[tokio::test]
async fn irrelevant_event_is_ignored_with_the_reason() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let config = StripeConfig {
        livemode: Some(false),
        accounts: Some(vec![String::new()]),
        ..World::config()
    };
    let processor = world.processor_with(config);
    let with = |id: &str, member: &str, value: Value| {
        let mut event = subscription(id, "cus_1", "active", 1);
        event[member] = value;
        event
    };
    for (event, reason) in [
        (with("evt_live", "livemode", json!(true)), "livemode"),
        (with("evt_account", "account", json!("acct_1")), "account"),
        (with("evt_type", "type", json!("customer.created")), "unhandled_type"),
        (with("evt_thin", "object", json!("v2.core.event")), "thin_event"),
        (
            with(
                "evt_guest",
                "data",
                json!({"object": {"id": "sub_9", "status": "active", "customer": null}}),
            ),
            "no_customer",
        ),
        (
            json!({"id": "evt_stranger", "type": "customer.deleted", "created": START,
                "data": {"object": {"id": "cus_stranger"}}}),
            "unknown_customer",
        ),
    ] {
        let id = event["id"].as_str().unwrap();
        assert_eq!(deliver(&processor, &event).await.status, EventStatus::Ignored, "{id}");
        let (status, why, ..) = world.event(id).await;
        assert_eq!((status.as_str(), why.as_deref()), ("ignored", Some(reason)), "{id}");
    }
    assert_eq!(world.paid_for(tenant).await, row("free", "none"));
}

/// It is stored, dead at once, and the sender is told why. The control is a well-formed event.
#[tokio::test]
async fn malformed_event_is_dead_with_the_reason_and_changes_nothing() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_0", "cus_1", "active", 0)).await;
    let without = |id: &str, pointer: &str, field: &str| {
        let mut event = subscription(id, "cus_1", "canceled", 1);
        event.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field);
        event
    };
    for (event, flaw) in [
        (without("evt_1", "", "created"), "it has no usable `created`"),
        (without("evt_2", "", "data"), "it has no object"),
        (without("evt_3", "/data/object", "id"), "the subscription has no `id`"),
        (without("evt_4", "/data/object", "status"), "the subscription has no usable `status`"),
        (without("evt_5", "/data/object", "customer"), "the object has no usable `customer`"),
        (without("evt_6", "/data/object/items", "data"), "the subscription has no list of `items`"),
        (
            without("evt_7", "/data/object/items/data/0", "price"),
            "an item of the subscription has no price",
        ),
    ] {
        for duplicate in [false, true] {
            let receipt = deliver(&processor, &event).await;
            assert_eq!(
                (receipt.status, receipt.duplicate),
                (EventStatus::Dead, duplicate),
                "{flaw}"
            );
            assert_eq!(receipt.reason, Some(format!("malformed: {flaw}")));
        }
        let (status, reason, _, attempts) = world.event(event["id"].as_str().unwrap()).await;
        assert_eq!((status.as_str(), reason.as_deref(), attempts), ("dead", Some("malformed"), 1));
    }
    assert_eq!(processor.backlog().await.unwrap().dead, 7);
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
    let whole = deliver(&processor, &subscription("evt_8", "cus_1", "canceled", 1)).await;
    assert_eq!((whole.status, whole.reason), (EventStatus::Processed, None));
    assert_eq!(world.paid_for(tenant).await, row("free", "canceled"));
}

/// Two subscriptions in force, and one more of another product: the first two are flagged, until one ends.
#[tokio::test]
async fn tenant_with_two_subscriptions_is_flagged_until_one_ends() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    let event = |id: &str, name: &str, price: &str, status: &str, at: i64| {
        let mut event = subscription(id, "cus_1", status, at);
        event["data"]["object"]["id"] = json!(name);
        event["data"]["object"]["items"]["data"][0]["price"] = json!({"id": price});
        event
    };
    let flagged = async || {
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let flagged = billing::flagged::list(&mut tx, PROVIDER).await.unwrap();
        tx.commit().await.unwrap();
        flagged
    };
    deliver(&processor, &event("evt_1", "sub_a", "price_pro", "active", 0)).await;
    deliver(&processor, &event("evt_2", "sub_f", "price_other", "past_due", 1)).await;
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
    assert!(flagged().await.is_empty());
    deliver(&processor, &event("evt_3", "sub_b", "price_pro", "trialing", 2)).await;
    let found = flagged().await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].tenant.as_uuid(), found[0].customer.as_str()), (tenant, "cus_1"));
    assert_eq!(found[0].flags, ["several_subscriptions"]);
    assert_eq!(found[0].subscriptions, ["sub_a", "sub_b", "sub_f"]);
    deliver(&processor, &event("evt_4", "sub_a", "price_pro", "canceled", 3)).await;
    assert!(flagged().await.is_empty());
    assert_eq!(world.paid_for(tenant).await, row("pro", "trialing"));
}

/// Invoices of what is not ours: neither the plan nor the standing moves, and no owner is told that a payment
/// failed.
#[tokio::test]
async fn invoices_of_other_products_and_of_no_subscription_change_nothing() {
    for kind in ["invoice.paid", "invoice.payment_failed"] {
        let world = World::new().await;
        let tenant = world.payer("cus_1").await;
        let processor = world.processor();
        let mut one_off = invoice("evt_1", "cus_1", kind, 1);
        one_off["data"]["object"]["parent"] = Value::Null;
        let mut foreign = invoice("evt_2", "cus_1", kind, 2);
        foreign["data"]["object"]["lines"] = json!({"data": [
            {"pricing": {"price_details": {"price": "price_other"}}},
        ]});
        let mut subscribed = subscription("evt_3", "cus_1", "past_due", 3);
        subscribed["data"]["object"]["items"]["data"][0]["price"] = json!({"id": "price_other"});
        for event in [&one_off, &foreign, &subscribed] {
            assert_eq!(deliver(&processor, event).await.status, EventStatus::Processed);
            assert_eq!(world.paid_for(tenant).await, row("free", "none"), "{event}");
        }
        let messages = async || {
            let count = sqlx::query_scalar::<_, i64>("select count(*) from mt.outbox");
            count.fetch_one(world.db.admin()).await.unwrap()
        };
        assert_eq!(messages().await, 0, "{kind}");
        // The control is the simple flow: an invoice that says nothing of a subscription.
        let mut simple = invoice("evt_4", "cus_1", kind, 4);
        simple["data"]["object"].as_object_mut().unwrap().remove("parent");
        deliver(&processor, &simple).await;
        assert_eq!(world.paid_for(tenant).await.0, "pro", "{kind}");
        assert_eq!(messages().await, i64::from(kind != "invoice.paid"));
    }
}

#[tokio::test]
async fn invoices_count_until_a_subscription_event_arrives() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    deliver(&processor, &invoice("evt_1", "cus_1", "invoice.paid", 1)).await;
    assert_eq!(world.paid_for(tenant).await, row("pro", "active"));
    deliver(&processor, &invoice("evt_2", "cus_1", "invoice.payment_failed", 9)).await;
    let past_due = ("pro".to_owned(), "past_due".to_owned(), Some(START + 9), false);
    assert_eq!(world.paid_for(tenant).await, past_due);
    // A snapshot wins, older or not.
    deliver(&processor, &subscription("evt_3", "cus_1", "trialing", 0)).await;
    assert_eq!(world.paid_for(tenant).await, row("pro", "trialing"));

    let mut unmapped = subscription("evt_4", "cus_1", "active", 20);
    unmapped["data"]["object"]["items"]["data"][0]["price"] = json!({"id": "price_of_2019"});
    deliver(&processor, &unmapped).await;
    assert_eq!(world.paid_for(tenant).await, row("free", "none"));
    let flags: Vec<String> = sqlx::query_scalar("select flags from mt.billing_customers")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert_eq!(flags, ["unmapped_price"]);

    let mut deleted = subscription("evt_5", "cus_1", "active", 2);
    deleted["type"] = json!("customer.subscription.deleted");
    deliver(&processor, &deleted).await;
    assert_eq!(world.paid_for(tenant).await, row("free", "canceled"));
    deliver(&processor, &subscription("evt_6", "cus_1", "active", 99)).await;
    assert_eq!(world.paid_for(tenant).await, row("free", "canceled"), "the end is the end");
}
