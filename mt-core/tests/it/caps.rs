//! Caps under concurrency, and what they cost where there is none.

use std::sync::Arc;

use mt_core::access::Denied;
use mt_core::pg::{BeginError, CapReached};
use sqlx::Executor as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::model::{Manage, Notes, NotesWrite, World, write_note};

const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creates_fill_a_tenant_to_its_cap_and_not_beyond() {
    let world = Arc::new(World::new(16).await);
    let owner = world.user("owner").await;
    for round in 0..10 {
        let tenant = world.tenant(owner).await;
        let barrier = Arc::new(Barrier::new(CLIENTS));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            clients.spawn(async move {
                let grant = world.grant::<NotesWrite>(owner, tenant).await;
                barrier.wait().await;
                let (mut tx, room) = world.tenants.begin_capped::<_, Notes>(grant).await.unwrap();
                let fits = room.is_ok();
                if fits {
                    write_note(&mut tx, &client.to_string()).await;
                    tx.commit().await.unwrap();
                } else {
                    assert_eq!(room.unwrap_err(), CapReached { resource: "notes", cap: 3 });
                }
                fits
            });
        }
        let made = clients.join_all().await.into_iter().filter(|fits| *fits).count();
        assert_eq!(made, 3, "round {round}");
        let stored: i64 =
            sqlx::query_scalar("select count(*) from public.notes where tenant_id = $1")
                .bind(tenant.as_uuid())
                .fetch_one(world.db.admin())
                .await
                .unwrap();
        assert_eq!(stored, 3, "round {round}");
    }
}

/// The negative control: counting without the lock lets the same crowd through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_without_the_lock_goes_over_the_cap() {
    let world = Arc::new(World::new(16).await);
    let owner = world.user("owner").await;
    let mut over = 0;
    for _ in 0..10 {
        let tenant = world.tenant(owner).await;
        let barrier = Arc::new(Barrier::new(16));
        let mut clients = JoinSet::new();
        for _ in 0..16 {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            clients.spawn(async move {
                let grant = world.grant::<NotesWrite>(owner, tenant).await;
                let mut tx = world.tenants.begin(grant).await.unwrap();
                barrier.wait().await;
                let used: i64 = sqlx::query_scalar(
                    "select count(*) from public.notes where tenant_id = (select mt.tenant_id())",
                )
                .fetch_one(tx.under::<NotesWrite>())
                .await
                .unwrap();
                if used < 3 {
                    write_note(&mut tx, "x").await;
                    tx.commit().await.unwrap();
                }
            });
        }
        clients.join_all().await;
        let stored: i64 =
            sqlx::query_scalar("select count(*) from public.notes where tenant_id = $1")
                .bind(tenant.as_uuid())
                .fetch_one(world.db.admin())
                .await
                .unwrap();
        over += usize::from(stored > 3);
    }
    assert!(over > 0, "the crowd was too tame for the test above to mean anything");
}

#[tokio::test]
async fn an_uncapped_plan_does_not_wait_for_the_tenants_lock() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.set(tenant, "plan = 'team'").await;
    let held = world.grant::<Manage>(owner, tenant).await;
    let held = world.tenants.begin_exclusive(held).await.unwrap();
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let (mut tx, room) = world.tenants.begin_capped::<_, Notes>(grant).await.unwrap();
    assert!(room.is_ok());
    write_note(&mut tx, "x").await;
    tx.commit().await.unwrap();

    // The negative control: on a capped plan it does wait, until the lock's timeout.
    world.db.admin().execute("select 1").await.unwrap();
    let mut access = world.access(owner, tenant).await;
    assert_eq!(access.plan(), crate::model::Plan::Team);
    held.rollback().await.unwrap();
    world.set(tenant, "plan = 'free'").await;
    access = world.access(owner, tenant).await;
    let held = world.grant::<Manage>(owner, tenant).await;
    let held = world.tenants.begin_exclusive(held).await.unwrap();
    let waited = world.tenants.begin_capped::<NotesWrite, Notes>(access.authorize().unwrap()).await;
    assert!(matches!(waited, Err(BeginError::Pg(mt_core::pg::PgError::Unavailable(_)))));
    drop(held);
}

#[tokio::test]
async fn a_downgrade_between_grant_and_transaction_is_counted() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.set(tenant, "plan = 'team'").await;
    for _ in 0..5 {
        let grant = world.grant::<NotesWrite>(owner, tenant).await;
        let (mut tx, room) = world.tenants.begin_capped::<_, Notes>(grant).await.unwrap();
        assert!(room.is_ok());
        write_note(&mut tx, "x").await;
        tx.commit().await.unwrap();
    }
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    world.set(tenant, "plan = 'free'").await;
    let (tx, room) = world.tenants.begin_capped::<_, Notes>(grant).await.unwrap();
    assert_eq!(room.unwrap_err(), CapReached { resource: "notes", cap: 3 });
    tx.rollback().await.unwrap();
    // What is there stays, and can be read.
    assert_eq!(world.count("select count(*) from public.notes").await, 5);

    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    world.set(tenant, "subscription_status = 'canceled'").await;
    let refused = world.tenants.begin_capped::<NotesWrite, Notes>(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::PaymentRequired)));
}
