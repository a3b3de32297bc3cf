//! A database with paying tenants, and their signed events.

use mt_core::billing::PriceTable;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::testing::TestDatabase;
use mt_stripe::StripeConfig;
use mt_stripe::signature::sign;
use reference_server::schema;
use serde_json::json;
use sqlx::AssertSqlSafe;

pub(crate) const SECRET: &str = "whsec_of_the_bench";
/// The number of customers.
pub(crate) const CUSTOMERS: u64 = 1000;
const CREATED: i64 = 1_795_449_600;

pub(crate) struct World {
    pub(crate) db: TestDatabase,
}

/// One delivery.
pub(crate) struct Signed {
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::create_with(&[schema::product()]).await.expect("a database");
        let world = Self { db };
        // With ids that pgbench can compute.
        world
            .run(&format!(
                "insert into mt.tenants (id, name) \
                     select md5('t' || n)::uuid, 'Tenant ' || n from generate_series(1, {CUSTOMERS}) n; \
                 insert into mt.billing_customers (tenant_id, provider, customer_id) \
                     select md5('t' || n)::uuid, 'stripe', 'cus_' || n from generate_series(1, {CUSTOMERS}) n"
            ))
            .await;
        world
    }

    pub(crate) fn config() -> StripeConfig {
        StripeConfig::new(PriceTable::new("free").plan("pro", ["price_pro"]))
    }

    /// Resets the ledger, so that each part starts alike.
    pub(crate) async fn empty(&self) {
        self.run("truncate mt.webhook_events, mt.webhook_attempts, mt.subscriptions, mt.outbox")
            .await;
    }

    async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(self.db.admin()).await.expect("a statement");
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.expect("a text")
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.expect("a number")
    }

    /// Returns the number of applied events, and panics unless that is all of them.
    pub(crate) async fn applied(&self) -> i64 {
        let left = "select count(*) from mt.webhook_events where status <> 'processed'";
        assert_eq!(self.count(left).await, 0, "events that are not applied");
        self.count("select count(*) from mt.webhook_events").await
    }
}

/// The body of event number `number`: a subscription as Stripe renders it, of about 1.5 KB.
pub(crate) fn body(number: u64) -> Vec<u8> {
    let customer = 1 + number % CUSTOMERS;
    let item = json!({
        "id": "si_0123456789", "object": "subscription_item", "quantity": 1,
        "current_period_start": CREATED, "current_period_end": CREATED + 2_592_000,
        "price": {
            "id": "price_pro", "object": "price", "active": true, "currency": "eur",
            "product": "prod_0123456789", "recurring": {"interval": "month", "interval_count": 1},
            "type": "recurring", "unit_amount": 2000, "unit_amount_decimal": "2000",
        },
    });
    let subscription = json!({
        "id": format!("sub_cus_{customer}"), "object": "subscription",
        "customer": format!("cus_{customer}"), "status": "active", "created": CREATED,
        "billing_cycle_anchor": CREATED, "cancel_at": null, "cancel_at_period_end": false,
        "canceled_at": null, "collection_method": "charge_automatically", "currency": "eur",
        "default_payment_method": "pm_0123456789", "latest_invoice": "in_0123456789",
        "metadata": {}, "pause_collection": null, "trial_end": null, "trial_start": null,
        "items": {"object": "list", "has_more": false, "total_count": 1, "data": [item]},
    });
    let event = json!({
        "id": format!("evt_{number}"), "object": "event", "api_version": "2026-10-28.endive",
        "created": CREATED, "livemode": false, "pending_webhooks": 1,
        "request": {"id": format!("req_{number}"), "idempotency_key": null},
        "type": "customer.subscription.updated", "data": {"object": subscription},
    });
    serde_json::to_vec_pretty(&event).expect("JSON")
}

pub(crate) fn signed(number: u64) -> Signed {
    let body = body(number);
    Signed { signature: sign(SECRET, &body, SystemClock.now()), body }
}
