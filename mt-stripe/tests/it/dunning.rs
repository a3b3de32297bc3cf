//! Messages about failed payments: one per attempt, and none after the invoice is paid.

use serde_json::{Value, json};

use crate::support::{World, deliver, invoice};

/// An attempt at invoice `in_1` that failed, or its payment.
fn attempt(id: &str, kind: &str, number: u64, at: i64) -> Value {
    let mut event = invoice(id, "cus_1", kind, at);
    event["data"]["object"]["id"] = json!("in_1");
    event["data"]["object"]["attempt_count"] = json!(number);
    event
}

async fn messages(world: &World) -> Vec<(String, Value)> {
    sqlx::query_as("select dedupe_key, payload from mt.outbox order by dedupe_key")
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

async fn keys(world: &World) -> Vec<String> {
    messages(world).await.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn each_failed_payment_attempt_is_reported_once() {
    let world = World::new().await;
    let tenant = world.payer("cus_1").await;
    let processor = world.processor();
    let failed = "invoice.payment_failed";
    deliver(&processor, &attempt("evt_1", failed, 1, 0)).await;
    let payload = json!({"invoice_id": "in_1", "attempt": 1});
    assert_eq!(messages(&world).await, [("dunning:in_1:1".to_owned(), payload)]);
    // The same event again, and another event of the same fact.
    deliver(&processor, &attempt("evt_1", failed, 1, 0)).await;
    deliver(&processor, &attempt("evt_1b", failed, 1, 0)).await;
    assert_eq!(keys(&world).await, ["dunning:in_1:1"]);
    deliver(&processor, &attempt("evt_2", failed, 2, 90)).await;
    assert_eq!(keys(&world).await, ["dunning:in_1:1", "dunning:in_1:2"]);
    let tenants: Vec<uuid::Uuid> = sqlx::query_scalar("select distinct tenant_id from mt.outbox")
        .fetch_all(world.db.admin())
        .await
        .unwrap();
    assert_eq!(tenants, [tenant]);
}

#[tokio::test]
async fn paid_invoice_is_not_reported_as_failed() {
    let world = World::new().await;
    world.payer("cus_1").await;
    let processor = world.processor();
    // The payment overtakes the failure before it.
    deliver(&processor, &attempt("evt_2", "invoice.paid", 2, 90)).await;
    deliver(&processor, &attempt("evt_1", "invoice.payment_failed", 1, 0)).await;
    assert_eq!(keys(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn failed_payment_is_reported_only_once_the_customer_is_linked() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let processor = world.processor();
    deliver(&processor, &attempt("evt_1", "invoice.payment_failed", 1, 0)).await;
    assert_eq!(keys(&world).await, Vec::<String>::new());
    world.link(tenant, "cus_1").await;
    world.sql("update mt.webhook_events set next_attempt_at = now()").await;
    assert!(processor.apply_next_due().await.unwrap());
    assert_eq!(keys(&world).await, ["dunning:in_1:1"]);
}
