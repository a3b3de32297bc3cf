//! Completed checkout sessions link their customer, and contradicting ones link nothing.

use mt_core::pg::ledger::EventStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{START, World, deliver, outcome, subscription};

/// A session of the server's for a tenant, as `checkout::note` writes it.
async fn noted(world: &World, tenant: Uuid, session: &str) {
    sqlx::query(
        "insert into mt.checkout_sessions (tenant_id, provider, session_id) values ($1, 'stripe', $2)",
    )
    .bind(tenant)
    .bind(session)
    .execute(world.db.admin())
    .await
    .unwrap();
}

fn completed(id: &str, session: &str, customer: &str) -> Value {
    json!({
        "id": id, "object": "event", "livemode": false, "created": START,
        "type": "checkout.session.completed",
        "data": {"object": {"id": session, "object": "checkout.session", "customer": customer}},
    })
}

async fn links(world: &World) -> Vec<(Uuid, String)> {
    sqlx::query_as("select tenant_id, customer_id from mt.billing_customers order by customer_id")
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

/// And what waited for the link is due at once, though its own clock says tomorrow.
#[tokio::test]
async fn session_created_here_links_its_customer() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    noted(&world, tenant, "cs_1").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_1", "cus_1", "active", 1)).await;
    world.sql("update mt.webhook_events set next_attempt_at = now() + interval '1 day'").await;
    assert!(!processor.apply_next_due().await.unwrap(), "it waits");

    let done = outcome(&world, &processor, &completed("evt_2", "cs_1", "cus_1")).await;
    assert_eq!(done, (EventStatus::Processed, None));
    assert_eq!(links(&world).await, [(tenant, "cus_1".to_owned())]);
    assert!(processor.apply_next_due().await.unwrap());
    assert_eq!(world.paid_for(tenant).await.1, "active");

    // Told again, and by a second event for the same fact: nothing new.
    let before = world.projection().await;
    for (id, status) in [("evt_2", EventStatus::Processed), ("evt_3", EventStatus::Processed)] {
        assert_eq!(deliver(&processor, &completed(id, "cs_1", "cus_1")).await.status, status);
    }
    assert_eq!(world.projection().await, before);
}

#[tokio::test]
async fn session_created_elsewhere_links_nothing() {
    let world = World::new().await;
    let (mine, yours) = (world.tenant().await, world.payer("cus_2").await);
    noted(&world, mine, "cs_1").await;
    let processor = world.processor();
    let mut forged = completed("evt_1", "cs_of_a_payment_link", "cus_1");
    forged["data"]["object"]["client_reference_id"] = json!(mine);
    forged["data"]["object"]["metadata"] = json!({"org_id": mine, "session_id": "cs_1"});
    let unknown = (EventStatus::Ignored, Some("unknown_session".to_owned()));
    assert_eq!(outcome(&world, &processor, &forged).await, unknown);
    // A session created here, and a customer that is linked to another tenant.
    let taken = outcome(&world, &processor, &completed("evt_2", "cs_1", "cus_2")).await;
    assert_eq!(taken, (EventStatus::Ignored, Some("customer_of_another_tenant".to_owned())));
    assert_eq!(links(&world).await, [(yours, "cus_2".to_owned())]);
    // It is linked now, and the session cannot be completed a second time.
    let again = outcome(&world, &processor, &completed("evt_3", "cs_1", "cus_1")).await;
    assert_eq!(again, unknown);
    // A tenant that the server has linked already keeps its customer.
    noted(&world, yours, "cs_2").await;
    let second = outcome(&world, &processor, &completed("evt_4", "cs_2", "cus_9")).await;
    assert_eq!(second, (EventStatus::Ignored, Some("tenant_has_a_customer".to_owned())));
    assert_eq!(links(&world).await, [(yours, "cus_2".to_owned())]);
}

/// The tenant that claims first gains nothing from it, and loses what was paid meanwhile.
#[tokio::test]
async fn customer_claimed_by_two_tenants_is_linked_to_neither() {
    for order in [["cs_a", "cs_b"], ["cs_b", "cs_a"]] {
        let world = World::new().await;
        let (a, b) = (world.tenant().await, world.tenant().await);
        noted(&world, a, "cs_a").await;
        noted(&world, b, "cs_b").await;
        let processor = world.processor();
        let [first, second] = order;
        deliver(&processor, &completed("evt_1", first, "cus_1")).await;
        assert_eq!(links(&world).await.len(), 1);
        deliver(&processor, &subscription("evt_2", "cus_1", "active", 1)).await;
        let done = outcome(&world, &processor, &completed("evt_3", second, "cus_1")).await;
        assert_eq!(done, (EventStatus::Ignored, Some("conflicting_claims".to_owned())));
        assert_eq!(links(&world).await, [], "{order:?}");
        for tenant in [a, b] {
            let (plan, status, ..) = world.paid_for(tenant).await;
            assert_eq!((plan.as_str(), status.as_str()), ("free", "none"), "{order:?}");
        }
        // Nor does a third event of either change that.
        deliver(&processor, &completed("evt_4", first, "cus_1")).await;
        assert_eq!(links(&world).await, [], "{order:?}");
    }
}

/// A link that the server made before any purchase is not a claim, and claims do not replace it.
#[tokio::test]
async fn checkout_claim_does_not_replace_a_link_of_the_server() {
    let world = World::new().await;
    let (owner, a, b) = (world.payer("cus_1").await, world.tenant().await, world.tenant().await);
    noted(&world, a, "cs_a").await;
    noted(&world, b, "cs_b").await;
    let processor = world.processor();
    deliver(&processor, &subscription("evt_0", "cus_1", "active", 1)).await;
    for (id, session) in [("evt_1", "cs_a"), ("evt_2", "cs_b")] {
        deliver(&processor, &completed(id, session, "cus_1")).await;
    }
    assert_eq!(links(&world).await, [(owner, "cus_1".to_owned())]);
    assert_eq!(world.paid_for(owner).await.1, "active");
}
