//! The billing port with a provider that is not Stripe, end to end: link, events, plan, dunning, prices, departure.

mod second_provider;

use mt_core::auth::Principal;
use mt_core::billing::PriceTable;
use mt_core::id::TenantId;
use mt_core::pg::SystemReason;
use mt_core::pg::billing::departed::{DEPARTED, DepartedCustomer};
use mt_core::pg::billing::{
    DUNNING, LinkError, customer_of, flagged, forget, link, reproject, wake,
};
use mt_core::pg::ledger::{EventStatus, Ledger, RetryPolicy};
use serde_json::{Value, json};

use self::second_provider::{Body, NAME, Second, signed, verify};
use crate::support::{Manage, World};

const LOOK: SystemReason = SystemReason::new("look at what a test has done");

fn prices() -> PriceTable {
    PriceTable::new("free").plan("team", ["article-1"])
}

fn event(number: i64, state: &str) -> Body {
    let (buyer, article) = ("buyer-1".to_owned(), "article-1".to_owned());
    Body { number, buyer, state: state.to_owned(), article }
}

struct Shop {
    world: World,
    owner: Principal,
    tenant: TenantId,
    ledger: Ledger<Second>,
}

impl Shop {
    /// A tenant without a customer.
    async fn open() -> Self {
        let world = World::new(4).await;
        let owner = world.user("owner").await;
        let tenant = world.tenant(owner).await;
        let system = world.database.system();
        let ledger = Ledger::new(system, Second(prices()), RetryPolicy::default());
        Self { world, owner, tenant, ledger }
    }

    async fn link(&self, tenant: TenantId, owner: Principal) -> Result<String, LinkError> {
        let grant = self.world.grant::<Manage>(owner, tenant).await;
        let mut tx = self.world.tenants.begin(grant).exclusive().await.unwrap();
        let linked = link(&mut tx, NAME, "buyer-1").await?;
        tx.commit().await.unwrap();
        Ok(linked)
    }

    async fn deliver(&self, body: &Body) -> (EventStatus, Option<String>) {
        let received = self.ledger.receive(signed(body)).await.unwrap();
        (received.status, received.reason)
    }

    /// Plan and status of the tenant.
    async fn paid_for(&self) -> (String, String) {
        sqlx::query_as("select plan, subscription_status from mt.tenants where id = $1")
            .bind(self.tenant.as_uuid())
            .fetch_one(self.world.db.admin())
            .await
            .unwrap()
    }

    async fn messages(&self, topic: &str) -> Vec<(String, Value)> {
        sqlx::query_as(
            "select dedupe_key, payload from mt.outbox where topic = $1 order by dedupe_key",
        )
        .bind(topic)
        .fetch_all(self.world.db.admin())
        .await
        .unwrap()
    }
}

fn paid(plan: &str, status: &str) -> (String, String) {
    (plan.to_owned(), status.to_owned())
}

#[test]
fn only_a_delivery_with_the_key_is_an_event() {
    assert!(verify("another key", &event(1, "on")).is_none());
    assert!(verify("a key of the tests", &event(1, "on")).is_some());
}

#[tokio::test]
async fn an_event_waits_for_the_link_and_then_buys_the_plan() {
    let shop = Shop::open().await;
    let waits = Some("unlinked_customer: no tenant yet".to_owned());
    assert_eq!(shop.deliver(&event(1, "on")).await, (EventStatus::Failed, waits));
    assert_eq!(shop.paid_for().await, paid("free", "none"));

    assert_eq!(shop.link(shop.tenant, shop.owner).await.unwrap(), "buyer-1");
    let mut tx = shop.world.database.system().begin(LOOK).await.unwrap();
    assert_eq!(wake(&mut tx, NAME, "buyer-1").await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(shop.ledger.apply_next_due().await.unwrap());
    assert_eq!(shop.paid_for().await, paid("team", "active"));

    let grant = shop.world.grant::<Manage>(shop.owner, shop.tenant).await;
    let mut tx = shop.world.tenants.begin(grant).await.unwrap();
    let customer = customer_of::<Manage, _, _>(&mut tx, NAME).await.unwrap();
    assert_eq!(customer.as_deref(), Some("buyer-1"));
    // The control: Stripe knows no customer of this tenant.
    assert_eq!(customer_of::<Manage, _, _>(&mut tx, "stripe").await.unwrap(), None);
    tx.commit().await.unwrap();

    let other = shop.world.tenant(shop.owner).await;
    let taken = shop.link(other, shop.owner).await;
    assert!(matches!(taken, Err(LinkError::Taken)), "{taken:?}");
}

#[tokio::test]
async fn a_late_event_changes_nothing_and_a_failed_payment_reminds_once() {
    let shop = Shop::open().await;
    shop.link(shop.tenant, shop.owner).await.unwrap();
    assert_eq!(shop.deliver(&event(3, "owing")).await, (EventStatus::Processed, None));
    assert_eq!(shop.paid_for().await, paid("team", "past_due"));
    let reminder = ("dunning:i-3:1".to_owned(), json!({"invoice_id": "i-3", "attempt": 1}));
    assert_eq!(shop.messages(DUNNING).await, std::slice::from_ref(&reminder));
    // Made before, delivered after, and delivered again.
    shop.deliver(&event(2, "on")).await;
    shop.deliver(&event(3, "owing")).await;
    assert_eq!(shop.paid_for().await, paid("team", "past_due"));
    shop.deliver(&event(4, "off")).await;
    assert_eq!(shop.paid_for().await, paid("free", "canceled"));
}

#[tokio::test]
async fn a_changed_price_table_reaches_the_tenant_and_flags_follow() {
    let shop = Shop::open().await;
    shop.link(shop.tenant, shop.owner).await.unwrap();
    let unmapped = Body { article: "article-2".to_owned(), ..event(1, "on") };
    shop.deliver(&unmapped).await;
    let system = shop.world.database.system();
    let flags = async || {
        let mut tx = system.begin(LOOK).await.unwrap();
        let flagged = flagged::list(&mut tx, NAME).await.unwrap();
        assert!(flagged::list(&mut tx, "stripe").await.unwrap().is_empty());
        tx.commit().await.unwrap();
        flagged.into_iter().flat_map(|tenant| tenant.flags).collect::<Vec<_>>()
    };
    assert_eq!(shop.paid_for().await, paid("free", "none"));
    assert_eq!(flags().await, ["unmapped_price"]);

    assert_eq!(reproject::<Second>(&system, &prices()).await.unwrap(), 0, "the same table");
    let newer = PriceTable::new("free").plan("team", ["article-1", "article-2"]);
    assert_eq!(reproject::<Second>(&system, &newer).await.unwrap(), 1);
    assert_eq!(shop.paid_for().await, paid("team", "active"));
    assert!(flags().await.is_empty());
}

#[tokio::test]
async fn a_forgotten_customer_is_unlinked_and_pays_for_nothing() {
    let shop = Shop::open().await;
    shop.link(shop.tenant, shop.owner).await.unwrap();
    shop.deliver(&event(1, "on")).await;
    for (provider, left) in [("stripe", paid("team", "active")), (NAME, paid("free", "none"))] {
        let mut tx = shop.world.database.system().begin(LOOK).await.unwrap();
        forget(&mut tx, provider, "buyer-1", &prices()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(shop.paid_for().await, left, "{provider}");
    }
    let gone = (EventStatus::Ignored, Some("tenant_gone".to_owned()));
    assert_eq!(shop.deliver(&event(2, "on")).await, gone);
    assert_eq!(shop.messages(DEPARTED).await, [], "its tenant is there");
}

#[tokio::test]
async fn the_customer_of_a_deleted_tenant_is_reported_with_its_provider() {
    let shop = Shop::open().await;
    shop.link(shop.tenant, shop.owner).await.unwrap();
    shop.deliver(&event(1, "on")).await;
    sqlx::query("delete from mt.tenants where id = $1")
        .bind(shop.tenant.as_uuid())
        .execute(shop.world.db.admin())
        .await
        .unwrap();
    let told = shop.messages(DEPARTED).await;
    assert_eq!(told.len(), 1);
    let departed = DepartedCustomer::of(NAME, &told[0].1).unwrap();
    assert_eq!((departed.account, departed.customer), ("", "buyer-1"));
    assert!(DepartedCustomer::of("stripe", &told[0].1).is_none());

    let late = Body { article: "article-9".to_owned(), ..event(2, "on") };
    shop.deliver(&late).await;
    assert_eq!(shop.messages(DEPARTED).await.len(), 1, "it is for another product");
    let gone = (EventStatus::Ignored, Some("tenant_gone".to_owned()));
    assert_eq!(shop.deliver(&event(3, "on")).await, gone);
    assert_eq!(shop.messages(DEPARTED).await.len(), 2);
}
