//! An event changes only the tenant of its customer.

use mt_core::pg::ledger::EventStatus;
use mt_stripe::StripeConfig;
use serde_json::{Value, json};

use crate::support::{World, deliver, invoice, subscription};

/// Events of one customer name the subscription and the invoice of another.
#[tokio::test]
async fn an_event_of_one_customer_does_not_touch_anothers_subscription() {
    let world = World::new().await;
    let (mine, yours) = (world.payer("cus_1").await, world.payer("cus_2").await);
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    deliver(&processor, &invoice("evt_2", "cus_1", "invoice.paid", 1)).await;
    let before = world.projection().await;

    let mut event = subscription("evt_3", "cus_2", "canceled", 9);
    event["data"]["object"]["id"] = json!("sub_cus_1");
    let mut other_invoice = invoice("evt_4", "cus_2", "invoice.voided", 9);
    other_invoice["data"]["object"]["id"] = json!("in_evt_2");
    for event in [event, other_invoice] {
        assert_eq!(deliver(&processor, &event).await.status, EventStatus::Ignored);
        let (_, reason, ..) = world.event(event["id"].as_str().unwrap()).await;
        assert_eq!(reason.as_deref(), Some("other_customer"));
    }
    assert_eq!(world.projection().await, before);
    assert_eq!(world.paid_for(mine).await.1, "active");
    assert_eq!(world.paid_for(yours).await.1, "none");
}

/// Values that the visitor of a payment page can set are ignored, on every event.
#[tokio::test]
async fn tenant_ids_in_event_metadata_are_ignored() {
    let world = World::new().await;
    let (mine, yours) = (world.payer("cus_1").await, world.payer("cus_2").await);
    let processor = world.processor();
    let claims = |mut event: Value| {
        event["data"]["object"]["client_reference_id"] = json!(yours);
        event["data"]["object"]["metadata"] =
            json!({"tenant_id": yours, "org_id": yours, "customer": "cus_2"});
        event
    };
    deliver(&processor, &claims(subscription("evt_1", "cus_1", "unpaid", 1))).await;
    deliver(&processor, &claims(invoice("evt_2", "cus_1", "invoice.payment_failed", 1))).await;
    let mut session = claims(subscription("evt_3", "cus_1", "complete", 2));
    session["type"] = json!("checkout.session.completed");
    deliver(&processor, &session).await;
    assert_eq!(world.paid_for(mine).await.1, "unpaid");
    assert_eq!(world.paid_for(yours).await.1, "none");
    let links: Vec<String> =
        sqlx::query_scalar("select customer_id from mt.billing_customers order by customer_id")
            .fetch_all(world.db.admin())
            .await
            .unwrap();
    assert_eq!(links, ["cus_1", "cus_2"]);
}

/// A customer id in another mode or account is another customer.
#[tokio::test]
async fn event_of_another_mode_or_account_is_ignored_with_the_reason() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let config = StripeConfig {
        livemode: Some(true),
        accounts: Some(vec![String::new(), "acct_1".to_owned()]),
        ..World::config()
    };
    let processor = world.processor_with(config);
    let with = |id: &str, livemode: Value, account: Value| {
        let mut event = subscription(id, "cus_1", "active", 1);
        event["livemode"] = livemode;
        event["account"] = account;
        event
    };
    for (event, status, reason) in [
        (with("evt_1", json!(false), Value::Null), "ignored", Some("livemode")),
        // Not saying is not live.
        (with("evt_2", Value::Null, Value::Null), "ignored", Some("livemode")),
        (with("evt_3", json!("true"), Value::Null), "ignored", Some("livemode")),
        (with("evt_4", json!(true), json!("acct_2")), "ignored", Some("account")),
        // An account of ours, and no customer of it is linked.
        (with("evt_5", json!(true), json!("acct_1")), "failed", Some("unlinked_customer")),
    ] {
        deliver(&processor, &event).await;
        let (is, why, ..) = world.event(event["id"].as_str().unwrap()).await;
        assert_eq!((is.as_str(), why.as_deref()), (status, reason), "{event}");
        assert_eq!(world.paid_for(tenant).await.1, "none", "{event}");
    }
    deliver(&processor, &with("evt_6", json!(true), Value::Null)).await;
    assert_eq!(world.paid_for(tenant).await.1, "active");
}
