//! The plan of a tenant: the initial one of the model, and one that an operator sets.

use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, Tenant, Tenants};

use crate::support::{SETUP, World};

mt_core::model! {
    Shop;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Basic = "basic" (initial), Plus = "plus" }
    permissions Permission {
        //                                Owner  Basic Plus
        OrdersRead = "orders.read"       [yes]  [yes   yes] exempt read;
        OrdersExport = "orders.export"   [yes]  [no    yes] required read;
    }
}

async fn new_shop(world: &World, owner: Principal) -> Tenant {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let shop = Tenant::create::<Shop>(&mut tx, "a shop", owner.id()).await.unwrap();
    tx.commit().await.unwrap();
    shop
}

async fn set_plan(world: &World, tenant: TenantId, plan: Plan) -> Option<Plan> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let before = Tenant::set_plan::<Shop>(&mut tx, tenant, plan).await.unwrap();
    tx.commit().await.unwrap();
    before
}

#[tokio::test]
async fn a_new_tenant_is_on_the_initial_plan_of_its_model() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenants: Tenants<Shop> = world.database.tenants(StandingPolicy::default());
    let shop = new_shop(&world, owner).await;
    assert_eq!(shop.plan, "basic");
    let request = AccessRequest::<OrdersRead>::new(owner, shop.id);
    tenants.begin(request).await.unwrap().commit().await.unwrap();
    // The control: a plan that the model does not have.
    world.set(shop.id, "plan = 'free'").await;
    assert!(matches!(tenants.begin(request).await, Err(BeginError::Pg(_))));
}

#[tokio::test]
async fn a_plan_that_is_set_holds_from_the_next_transaction_on() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenants: Tenants<Shop> = world.database.tenants(StandingPolicy::default());
    let shop = new_shop(&world, owner).await.id;
    let request = AccessRequest::<OrdersExport>::new(owner, shop);
    for (plan, before, allowed) in [
        (Plan::Plus, Plan::Basic, true),
        (Plan::Plus, Plan::Plus, true),
        (Plan::Basic, Plan::Plus, false),
    ] {
        assert_eq!(set_plan(&world, shop, plan).await, Some(before));
        let opened = tenants.begin(request).await;
        assert_eq!(opened.is_ok(), allowed, "{plan:?}: {opened:?}");
    }
    let entries = "select count(*) from mt.audit_log where action = 'tenant.plan_changed'";
    assert_eq!(world.count(entries).await, 2);
    assert_eq!(set_plan(&world, TenantId::generate(), Plan::Plus).await, None);
}
