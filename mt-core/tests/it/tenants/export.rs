//! Export of a tenant: one snapshot, and only with permission.

use mt_core::access::{Denied, Suspension};
use mt_core::pg::portable::{Contents, Inventory, Measure, Snapshot};
use mt_core::pg::{BeginError, Database, DatabaseOptions, Tenant};
use mt_core::testing::Relay;

use crate::support::{NotesRead, NotesWrite, Role, SETUP, World, write_note};

fn inventory() -> Inventory {
    Inventory::library().export("public.notes")
}

async fn contents(database: &Database) -> Contents {
    inventory().take(database).await.unwrap()
}

/// All lines of the notes, and what they were measured as.
async fn notes(snapshot: &mut Snapshot, contents: &Contents) -> (Vec<String>, Measure) {
    let table = contents.table("public.notes").unwrap();
    let measure = snapshot.measure(table).await.unwrap();
    snapshot.open_lines(table).await.unwrap();
    let mut lines = Vec::new();
    loop {
        let more = snapshot.next_lines().await.unwrap();
        if more.is_empty() {
            return (lines, measure);
        }
        assert!(more.len() <= 100, "some at a time: {}", more.len());
        lines.extend(more);
    }
}

fn measured(lines: &[String]) -> Measure {
    let bytes = lines.iter().map(|line| line.len() + 1).sum::<usize>();
    Measure { rows: lines.len().try_into().unwrap(), bytes: bytes.try_into().unwrap() }
}

#[tokio::test]
async fn export_is_one_snapshot_of_one_tenant() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let (tenant, other) = (world.tenant(owner).await, world.tenant(owner).await);
    let contents = contents(&world.database).await;
    let write = async |of, text: &str| {
        let grant = world.grant::<NotesWrite>(owner, of).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        write_note(&mut tx, text).await;
        tx.commit().await.unwrap();
    };
    for number in 0..250 {
        write(tenant, &format!("é \" \n {number}")).await;
    }
    write(other, "of another").await;

    // The control reads what is committed by then.
    let read_committed = |sql: &str| {
        sql.contains("repeatable read").then(|| sql.replace("repeatable read", "read committed"))
    };
    let relay = Relay::rewriting(&world.db.login(), read_committed).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()));
    let loose = Database::connect(options).await.unwrap();
    for (database, holds) in [(&world.database, true), (&loose, false)] {
        let mut snapshot = database.system().snapshot(SETUP, tenant).await.unwrap().unwrap();
        let (before, measure) = notes(&mut snapshot, &contents).await;
        assert_eq!(measured(&before), measure);
        assert!(!before.concat().contains("of another"));
        write(tenant, "since").await;
        let (after, measure) = notes(&mut snapshot, &contents).await;
        assert_eq!(measured(&after), measure);
        assert_eq!(after == before, holds, "{} and {}", before.len(), after.len());
        snapshot.close().await.unwrap();
    }
    assert!(!relay.take_rewritten().is_empty());
}

/// Another tenant may have the slug where the archive is imported, and a domain is proved where requests for it arrive.
#[tokio::test]
async fn names_that_are_unique_over_all_tenants_are_not_exported() {
    let world = World::new(1).await;
    let contents = contents(&world.database).await;
    let tenants = contents.table("mt.tenants").unwrap();
    assert_eq!(tenants.columns().collect::<Vec<_>>(), ["id", "name", "created_at"]);
    assert!(contents.exported().all(|table| table.name() != "mt.domains"));
    assert!(contents.of_tenants().any(|table| table.name() == "mt.domains"), "deleted with it");
}

#[tokio::test]
async fn caller_without_permission_exports_nothing() {
    let world = World::new(4).await;
    let (owner, viewer) = (world.user("owner").await, world.user("viewer").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, viewer, Role::Viewer).await;
    let [granted, again] =
        [world.grant::<NotesRead>(viewer, tenant).await, world.grant(viewer, tenant).await];
    world.tenants.snapshot::<NotesRead>(granted).await.unwrap().close().await.unwrap();
    world.remove(tenant, viewer).await;
    let refused = world.tenants.snapshot::<NotesRead>(again).await.unwrap_err();
    assert!(matches!(refused, BeginError::NotAMember), "{refused:?}");

    let granted = world.grant::<NotesRead>(owner, tenant).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut tx, tenant, Suspension::Full).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.snapshot(granted).await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::Suspended)), "{refused:?}");

    let unknown = mt_core::id::TenantId::generate();
    assert!(world.database.system().snapshot(SETUP, unknown).await.unwrap().is_none());
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn inventory_reports_all_mismatches_at_once() {
    let world = World::new(1).await;
    contents(&world.database).await;
    let complaints = async |inventory: Inventory| match inventory.take(&world.database).await {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(complaints(Inventory::library()).await.contains("`public.notes` is not classified"));
    let of_none = complaints(Inventory::library().without_tenant("public.notes", "wrong")).await;
    assert!(of_none.contains("is classified as without tenant but has a `tenant_id`"), "{of_none}");
    let wrong = inventory().exclude("mt.magic_links", "wrong").export("public.nothing");
    let wrong = complaints(wrong).await;
    assert!(
        wrong.contains("`mt.magic_links` is classified as a tenant's but has no `tenant_id`"),
        "{wrong}"
    );
    assert!(wrong.contains("`public.nothing` is classified but does not exist"), "{wrong}");
}
