//! A changed price table is applied to tenants without an event.

use mt_core::billing::PriceTable;
use mt_core::pg::billing::reproject;
use mt_stripe::{Stripe, StripeConfig};
use serde_json::json;

use crate::support::{World, deliver, invoice, subscription};

#[tokio::test]
async fn changed_price_table_is_applied_to_projected_tenants() {
    let world = World::new().await;
    let system = world.database.system();
    let [payer, stood_in, linked] =
        [world.payer("cus_1").await, world.payer("cus_2").await, world.payer("cus_3").await];
    let never = world.tenant().await;
    // A plan that an operator set, for a customer without events.
    world.sql("update mt.tenants set plan = 'pro'").await;

    let processor = world.processor();
    let mut unmapped = subscription("evt_1", "cus_1", "active", 0);
    unmapped["data"]["object"]["items"]["data"][0]["price"] = json!("price_2027");
    deliver(&processor, &unmapped).await;
    deliver(&processor, &invoice("evt_2", "cus_2", "invoice.paid", 0)).await;
    let plans = || async {
        let mut plans = Vec::new();
        for tenant in [payer, stood_in, linked, never] {
            plans.push(world.paid_for(tenant).await.0);
        }
        plans
    };
    assert_eq!(plans().await, ["free", "pro", "pro", "pro"]);

    // The table that they were projected with: nothing to do.
    let same = World::config().prices;
    assert_eq!(reproject::<Stripe>(&system, &same).await.unwrap(), 0);

    let newer = PriceTable::new("free").plan("pro", ["price_pro", "price_2027"]);
    assert_eq!(reproject::<Stripe>(&system, &newer).await.unwrap(), 2);
    assert_eq!(plans().await, ["pro", "pro", "pro", "pro"]);
    assert_eq!(reproject::<Stripe>(&system, &newer).await.unwrap(), 0, "once is enough");

    // A replica that still has the old table takes it back, and the next run puts it right.
    let old = Stripe::ledger(system.clone(), World::config());
    let mut late = subscription("evt_3", "cus_1", "active", 9);
    late["data"]["object"]["items"]["data"][0]["price"] = json!("price_2027");
    deliver(&old, &late).await;
    assert_eq!(plans().await[0], "free");
    assert_eq!(reproject::<Stripe>(&system, &newer).await.unwrap(), 1);
    assert_eq!(plans().await[0], "pro");

    // Prices that buy nothing any more, and a table with other plans.
    let other = PriceTable::new("none").plan("team", ["price_2027"]);
    assert_eq!(reproject::<Stripe>(&system, &other).await.unwrap(), 2);
    assert_eq!(plans().await, ["team", "team", "pro", "pro"]);
}

/// An event and a reprojection have the same result under the new table.
#[tokio::test]
async fn reprojection_equals_the_projection_of_events() {
    let newer = PriceTable::new("free").plan("basic", ["price_x"]).plan("pro", ["price_pro"]);
    let events = [
        subscription("evt_1", "cus_1", "trialing", 0),
        subscription("evt_2", "cus_1", "past_due", 9),
        invoice("evt_3", "cus_2", "invoice.payment_failed", 3),
    ];
    let mut rows = Vec::new();
    for fresh in [false, true] {
        let world = World::new().await;
        let tenants = [world.payer("cus_1").await, world.payer("cus_2").await];
        let prices = if fresh { newer.clone() } else { World::config().prices };
        let processor = world.processor_with(StripeConfig { prices, ..World::config() });
        for event in &events {
            deliver(&processor, event).await;
        }
        reproject::<Stripe>(&world.database.system(), &newer).await.unwrap();
        rows.push([world.paid_for(tenants[0]).await, world.paid_for(tenants[1]).await]);
    }
    assert_eq!(rows[0], rows[1]);
    assert_eq!((rows[0][0].0.as_str(), rows[0][1].0.as_str()), ("pro", "basic"));
}
