//! A test database with linked tenants, and events of the current API version.

pub(crate) mod stripe_api;

use std::time::Duration;

use mt_core::billing::PriceTable;
use mt_core::pg::ledger::{EventStatus, Ledger, Received, RetryPolicy};
use mt_core::pg::{Database, SystemReason};
use mt_core::testing::TestDatabase;
use mt_stripe::{Stripe, StripeConfig, VerifiedEvent};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const SETUP: SystemReason = SystemReason::new("set a test up");
/// The time of the first event.
pub(crate) const START: i64 = 1_795_449_600;

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) database: Database,
}

/// Plan, subscription status, time since payment is overdue, and whether the subscription ends with its period.
pub(crate) type TenantRow = (String, String, Option<i64>, bool);

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::create().await.unwrap();
        let database = db.connect(12).await.unwrap();
        Self { db, database }
    }

    pub(crate) fn config() -> StripeConfig {
        let retry = RetryPolicy { backoff: Duration::from_millis(1), ..RetryPolicy::default() };
        StripeConfig {
            prices: PriceTable::new("free").plan("pro", ["price_pro"]),
            livemode: None,
            accounts: None,
            fetcher: None,
            policy: retry.into(),
        }
    }

    pub(crate) fn processor(&self) -> Ledger<Stripe> {
        self.processor_with(Self::config())
    }

    pub(crate) fn processor_with(&self, config: StripeConfig) -> Ledger<Stripe> {
        Stripe::ledger(self.database.system(), config)
    }

    pub(crate) async fn tenant(&self) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query("insert into mt.tenants (id, name) values ($1, 'a tenant')")
            .bind(id)
            .execute(self.db.admin())
            .await
            .unwrap();
        id
    }

    pub(crate) async fn link(&self, tenant: Uuid, customer: &str) {
        sqlx::query(
            "insert into mt.billing_customers (tenant_id, provider, customer_id) \
             values ($1, 'stripe', $2)",
        )
        .bind(tenant)
        .bind(customer)
        .execute(self.db.admin())
        .await
        .unwrap();
    }

    /// Creates a tenant that is linked to `customer`.
    pub(crate) async fn payer(&self, customer: &str) -> Uuid {
        let tenant = self.tenant().await;
        self.link(tenant, customer).await;
        tenant
    }

    pub(crate) async fn paid_for(&self, tenant: Uuid) -> TenantRow {
        sqlx::query_as(
            "select plan, subscription_status, extract(epoch from past_due_since)::bigint, \
                 cancel_at_period_end \
             from mt.tenants where id = $1",
        )
        .bind(tenant)
        .fetch_one(self.db.admin())
        .await
        .unwrap()
    }

    /// Returns status, reason, deliveries and attempts of an event.
    pub(crate) async fn event(&self, id: &str) -> (String, Option<String>, i32, i32) {
        sqlx::query_as(
            "select status, reason, deliveries, attempts from mt.webhook_events where event_id = $1",
        )
        .bind(id)
        .fetch_one(self.db.admin())
        .await
        .unwrap()
    }

    /// Returns the whole state that events lead to, messages included, as one text.
    pub(crate) async fn projection(&self) -> String {
        sqlx::query_scalar(
            "select concat_ws(E'\\n', \
                 (select string_agg(t::text, E'\\n' order by id) from mt.tenants t), \
                 (select string_agg(c::text, E'\\n' order by customer_id) from mt.billing_customers c), \
                 (select string_agg(s::text, E'\\n' order by subscription_id) from mt.subscriptions s), \
                 (select string_agg(i::text, E'\\n' order by invoice_id) from mt.invoices i), \
                 (select string_agg(o::text, E'\\n' order by dedupe_key) from mt.outbox o))",
        )
        .fetch_one(self.db.admin())
        .await
        .unwrap()
    }

    pub(crate) async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.db.admin()).await.unwrap();
    }
}

pub(crate) async fn deliver(processor: &Ledger<Stripe>, event: &Value) -> Received {
    let body = event.to_string().into_bytes();
    let event = VerifiedEvent::insecure_unsigned(body).unwrap();
    processor.receive(event).await.unwrap()
}

/// Delivers an event. Returns its status, and the reason if it was not applied.
pub(crate) async fn outcome(
    world: &World,
    processor: &Ledger<Stripe>,
    event: &Value,
) -> (EventStatus, Option<String>) {
    let receipt = deliver(processor, event).await;
    let (_, reason, ..) = world.event(event["id"].as_str().unwrap()).await;
    (receipt.status, reason)
}

/// Returns a subscription event.
pub(crate) fn subscription(id: &str, customer: &str, status: &str, at: i64) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2026-10-28.endive", "livemode": false,
        "type": "customer.subscription.updated", "created": START + at,
        "data": {"object": {
            "id": format!("sub_{customer}"), "object": "subscription", "customer": customer,
            "status": status, "created": START, "cancel_at_period_end": false,
            "items": {"has_more": false, "data": [{
                "price": {"id": "price_pro"}, "current_period_end": START + 2_592_000,
            }]},
        }},
    })
}

/// Returns an invoice event.
pub(crate) fn invoice(id: &str, customer: &str, kind: &str, at: i64) -> Value {
    json!({
        "id": id, "object": "event", "livemode": false, "type": kind, "created": START + at,
        "data": {"object": {
            "id": format!("in_{id}"), "object": "invoice", "customer": customer,
            "created": START + at,
            "parent": {"subscription_details": {"subscription": format!("sub_{customer}")}},
        }},
    })
}
