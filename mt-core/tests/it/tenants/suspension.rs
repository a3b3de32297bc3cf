//! Suspension of a tenant holds from the next transaction on, and waits for open writes.

use std::sync::Arc;

use mt_core::access::{Denied, Suspension};
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, Tenant};

use crate::support::{NotesRead, NotesWrite, Role, SETUP, World, write_note};

async fn suspend(world: &World, tenant: TenantId, to: Suspension) -> Option<Suspension> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let before = Tenant::suspend(&mut tx, tenant, to).await.unwrap();
    tx.commit().await.unwrap();
    before
}

#[tokio::test]
async fn it_holds_from_the_next_transaction_on() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let (tenant, other) = (world.tenant(owner).await, world.tenant(owner).await);
    for (suspension, before, reads, writes) in [
        (Suspension::ReadOnly, Suspension::None, true, false),
        (Suspension::Full, Suspension::ReadOnly, false, false),
        (Suspension::None, Suspension::Full, true, true),
    ] {
        // Granted before, used after.
        let [was, of_other] = [world.access(owner, tenant).await, world.access(owner, other).await];
        let read = was.authorize::<NotesRead>();
        let write = was.authorize::<NotesWrite>();
        assert_eq!(suspend(&world, tenant, suspension).await, Some(before));
        let now = world.access(owner, tenant).await;
        let read = match read.or_else(|_| now.authorize::<NotesRead>()) {
            Ok(grant) => world.tenants.begin(grant).await.map(drop),
            Err(denied) => Err(denied.into()),
        };
        let write = match write.or_else(|_| now.authorize::<NotesWrite>()) {
            Ok(grant) => world.tenants.begin(grant).await.map(drop),
            Err(denied) => Err(denied.into()),
        };
        for (opened, allowed) in [(read, reads), (write, writes)] {
            let refused = matches!(opened, Err(BeginError::Denied(Denied::Suspended)));
            assert!(if allowed { opened.is_ok() } else { refused }, "{suspension:?}: {opened:?}");
        }
        let elsewhere = of_other.authorize::<NotesWrite>().unwrap();
        drop(world.tenants.begin(elsewhere).await.unwrap());
    }
    assert_eq!(suspend(&world, TenantId::generate(), Suspension::Full).await, None);
}

#[tokio::test]
async fn suspension_waits_for_open_writes() {
    let world = Arc::new(World::new(4).await);
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let grant = world.grant::<NotesWrite>(editor, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    write_note(&mut tx, "in time").await;

    let suspending = tokio::spawn({
        let world = Arc::clone(&world);
        async move { suspend(&world, tenant, Suspension::Full).await }
    });
    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event = 'advisory'";
    while world.count(waiting).await == 0 {}
    assert!(!suspending.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(suspending.await.unwrap(), Some(Suspension::None));
    assert_eq!(world.count("select count(*) from public.notes").await, 1);
}
