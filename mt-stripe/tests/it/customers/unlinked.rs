//! Unlinked customers: their events are ignored, and their subscriptions are cancelled.

use mt_core::pg::billing;
use mt_core::pg::billing::departed::{DEPARTED, DepartedCustomer};
use mt_core::pg::ledger::EventStatus;
use mt_stripe::PROVIDER;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{SETUP, START, World, deliver, invoice, outcome, subscription};

fn gone() -> (EventStatus, Option<String>) {
    (EventStatus::Ignored, Some("tenant_gone".to_owned()))
}

fn customer_deleted(id: &str, customer: &str) -> Value {
    json!({
        "id": id, "object": "event", "livemode": false, "created": START + 9,
        "type": "customer.deleted",
        "data": {"object": {"id": customer, "object": "customer", "customer_account": "acct_1"}},
    })
}

/// The messages that ask for subscriptions to be canceled: to whom they belong, and whose.
async fn departures(world: &World) -> Vec<(Option<Uuid>, Value)> {
    sqlx::query_as("select tenant_id, payload from mt.outbox where topic = $1 order by dedupe_key")
        .bind(DEPARTED)
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

async fn linked(world: &World) -> Vec<String> {
    sqlx::query_scalar("select customer_id from mt.billing_customers order by customer_id")
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_customer_that_stripe_deleted_is_unlinked_and_its_events_are_ignored() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    world.payer("cus_2").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "past_due", 1)).await;
    assert_eq!(world.paid_for(tenant).await.1, "past_due");

    let deleted = customer_deleted("evt_2", "cus_1");
    assert_eq!(outcome(&world, &processor, &deleted).await, (EventStatus::Processed, None));
    assert_eq!(linked(&world).await, ["cus_2"]);
    let free = ("free".to_owned(), "none".to_owned(), None, false);
    assert_eq!(world.paid_for(tenant).await, free);
    // The tenant is there still, so nothing is canceled for it.
    assert_eq!(departures(&world).await, []);
    let mut ended = subscription("evt_3", "cus_1", "canceled", 9);
    ended["type"] = json!("customer.subscription.deleted");
    for event in [
        ended,
        subscription("evt_4", "cus_1", "active", 2),
        invoice("evt_5", "cus_1", "invoice.payment_failed", 3),
        customer_deleted("evt_6", "cus_1"),
    ] {
        assert_eq!(outcome(&world, &processor, &event).await, gone(), "{event}");
    }
    assert_eq!(world.paid_for(tenant).await, free);

    // Another customer is made and linked, and a late copy of the old one's end does not touch it.
    world.link(tenant, "cus_3").await;
    deliver(&processor, &subscription("evt_7", "cus_3", "active", 20)).await;
    assert_eq!(outcome(&world, &processor, &customer_deleted("evt_8", "cus_1")).await, gone());
    assert_eq!(world.paid_for(tenant).await.0, "pro");
    // The control: a customer that was never linked is waited for.
    let unknown = subscription("evt_9", "cus_4", "active", 1);
    let waits = (EventStatus::Failed, Some("unlinked_customer".to_owned()));
    assert_eq!(outcome(&world, &processor, &unknown).await, waits);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a superuser's transaction, which is not dropped")]
async fn deleting_a_tenant_unlinks_its_customer_in_the_same_transaction() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    // Taken back: nothing has happened.
    let mut tx = world.db.admin().begin().await.unwrap();
    let delete = "delete from mt.tenants where id = $1";
    sqlx::query(delete).bind(tenant).execute(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(departures(&world).await, []);
    // As the roles do that may: by a cascade that only the tables' owner could write out.
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    sqlx::query(delete).bind(tenant).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    let payload = json!({"provider": "stripe", "account": "", "customer": "cus_1"});
    assert_eq!(departures(&world).await, [(None, payload.clone())]);
    let departed = DepartedCustomer::of(PROVIDER, &payload).unwrap();
    assert_eq!((departed.account, departed.customer), ("", "cus_1"));

    // What goes on says so, once for each subscription; what has ended or is another product's does not.
    let event = |id: &str, subscription_id: &str, price: &str, status: &str| {
        let mut event = subscription(id, "cus_1", status, 30);
        event["data"]["object"]["id"] = json!(subscription_id);
        event["data"]["object"]["items"]["data"][0]["price"] = json!({"id": price});
        event
    };
    for (event, messages) in [
        (event("evt_2", "sub_old", "price_pro", "canceled"), 1),
        (event("evt_3", "sub_other", "price_other", "active"), 1),
        (invoice("evt_4", "cus_1", "invoice.paid", 31), 1),
        (event("evt_5", "sub_late", "price_pro", "active"), 2),
        (event("evt_6", "sub_late", "price_pro", "past_due"), 2),
    ] {
        assert_eq!(outcome(&world, &processor, &event).await, gone(), "{event}");
        assert_eq!(departures(&world).await.len(), messages, "{event}");
    }
    assert!(departures(&world).await.iter().all(|(_, told)| *told == payload));
}

/// The result of a call to Stripe.
#[tokio::test]
async fn forgotten_customer_is_unlinked_once_and_no_other() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    for customer in ["cus_2", "cus_1", "cus_1"] {
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        billing::forget(&mut tx, PROVIDER, customer, &World::config().prices).await.unwrap();
        tx.commit().await.unwrap();
        let is_linked = customer == "cus_2";
        assert_eq!(linked(&world).await.len(), usize::from(is_linked));
        assert_eq!(world.paid_for(tenant).await.0, if is_linked { "pro" } else { "free" });
    }
    assert_eq!(
        outcome(&world, &processor, &subscription("evt_2", "cus_1", "active", 2)).await,
        gone()
    );
    // This one was never linked, so its events wait.
    let waits = (EventStatus::Failed, Some("unlinked_customer".to_owned()));
    assert_eq!(
        outcome(&world, &processor, &subscription("evt_3", "cus_2", "active", 2)).await,
        waits
    );
}
