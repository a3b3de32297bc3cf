//! Migration 0006 converts the stored state of the first version.

use mt_core::billing::PriceTable;
use mt_core::pg::billing::reproject;
use mt_stripe::Stripe;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{START, World, deliver, subscription};

const MIGRATION: &str = include_str!("../../../migrations/0006_billing_order.sql");

/// The schema before the migration.
const BEFORE: &str = "\
    drop sequence mt.fetch_tickets; \
    alter table mt.subscriptions drop column fetched, drop column ticket, \
        drop column collection_paused; \
    alter table mt.invoices drop column status, drop column subscription_id, \
        alter column outcome set not null; \
    alter table mt.billing_customers drop column projected_with; \
    drop index mt.subscriptions_refetch_idx";

#[tokio::test]
async fn states_of_the_first_version_are_converted() {
    let world = World::new().await;
    let [subscribed, stood_in, never] =
        [world.payer("cus_1").await, world.payer("cus_2").await, world.payer("cus_3").await];
    let time =
        |second: i64| chrono::DateTime::from_timestamp(START + second, 0).unwrap().to_rfc3339();
    let state = json!({
        "key": {"phase": "live", "created": time(60), "rank": "changed", "event": "evt_b"},
        "snapshot": {"id": "sub_cus_1", "customer": "cus_1", "status": "past_due",
            "prices": ["price_pro"], "started": time(0), "current_period_end": null,
            "cancel_at_period_end": false, "collection_paused": false, "truncated": false},
        "ambiguous": false, "settled": time(10), "past_due": [time(50), time(60)],
    });
    let invoice = json!({
        "id": "in_1", "customer": "cus_2", "subscription": "sub_cus_2", "created": time(5),
        "prices": ["price_pro"], "decided": [time(7), "paid", "evt_c"], "first_failed": time(6),
    });
    world.db.admin().execute(AssertSqlSafe(BEFORE)).await.unwrap();
    let rows = format!(
        "insert into mt.subscriptions values \
             ('stripe', '', false, 'sub_cus_1', 'cus_1', 'past_due', false, '{state}'); \
         insert into mt.invoices values ('stripe', '', false, 'in_1', 'cus_2', 'paid', '{invoice}')"
    );
    world.db.admin().execute(AssertSqlSafe(rows)).await.unwrap();
    // As the owner, on whom row-level security is forced.
    let migration = format!("begin; set local role mt_owner; {MIGRATION} ; commit");
    world.db.admin().execute(AssertSqlSafe(migration)).await.unwrap();

    // Tenants with stored states are projected again, once.
    let prices = PriceTable::new("free").plan("pro", ["price_pro"]);
    assert_eq!(reproject::<Stripe>(&world.database.system(), &prices).await.unwrap(), 2);
    let past_due = ("pro".to_owned(), "past_due".to_owned(), Some(START + 50), false);
    assert_eq!(world.paid_for(subscribed).await, past_due);
    assert_eq!(world.paid_for(stood_in).await.1, "active");
    assert_eq!(world.paid_for(never).await.1, "none");

    // And events go on from there.
    let processor = world.processor();
    deliver(&processor, &subscription("evt_a", "cus_1", "active", 55)).await;
    let past_due = ("pro".to_owned(), "past_due".to_owned(), Some(START + 60), false);
    assert_eq!(world.paid_for(subscribed).await, past_due, "settled between two failures");
    deliver(&processor, &subscription("evt_d", "cus_1", "active", 90)).await;
    assert_eq!(world.paid_for(subscribed).await.1, "active");

    let forced: i64 = sqlx::query_scalar(
        "select count(*) from pg_class where relforcerowsecurity and relnamespace = 'mt'::regnamespace \
             and relname in ('subscriptions', 'invoices', 'billing_customers')",
    )
    .fetch_one(world.db.admin())
    .await
    .unwrap();
    assert_eq!(forced, 3);
}
