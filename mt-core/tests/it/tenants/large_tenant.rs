//! Suspending or deleting a tenant of 50 000 members takes as few locks as one of two members.
//!
//! Postgres keeps the locks of all sessions in one table of fixed size: with 64 locks a transaction and 100
//! connections, some 6400. A lock for each member would take the room of every other tenant's requests.

use mt_core::access::Suspension;
use mt_core::id::TenantId;
use mt_core::pg::Tenant;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::portable::{self, Inventory};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{Manage, NotesWrite, SETUP, World, write_note};

async fn crowd(world: &World, tenant: TenantId) {
    let sql = format!(
        "with people as (insert into mt.users (id, email) \
             select gen_random_uuid(), n || '@{tenant}.example' from generate_series(1, 50000) n \
             returning id) \
         insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             select '{tenant}', id, 'viewer', false from people"
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

/// How many advisory locks there are in this database.
async fn locks(world: &World) -> i64 {
    world
        .count(
            "select count(*) from pg_locks where locktype = 'advisory' and database = \
                 (select oid from pg_database where datname = current_database())",
        )
        .await
}

#[tokio::test]
async fn suspending_and_deleting_a_large_tenant_takes_one_lock() {
    let world = World::new(4).await;
    let (owner, neighbour) = (world.user("owner").await, world.user("neighbour").await);
    let (first, second) = (world.tenant(owner).await, world.tenant(owner).await);
    let elsewhere = world.tenant(neighbour).await;
    crowd(&world, first).await;
    crowd(&world, second).await;
    world.db.admin().execute("analyze mt.memberships; analyze mt.users").await.unwrap();
    let write = async || {
        let grant = world.grant::<NotesWrite>(neighbour, elsewhere).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        write_note(&mut tx, "served").await;
        tx.commit().await.unwrap();
    };

    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut tx, first, Suspension::Full).await.unwrap();
    assert_eq!(locks(&world).await, 1, "the tenant's gate");
    write().await;
    Tenant::suspend(&mut tx, first, Suspension::None).await.unwrap();
    tx.commit().await.unwrap();

    let grant = world.grant::<Manage>(owner, first).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    Tenant::delete(&mut tx).await.unwrap();
    // It shares both gates, as every writer does, and has closed the tenant's.
    assert_eq!(locks(&world).await, 3);
    write().await;
    tx.commit().await.unwrap();

    let contents = Inventory::library().export("public.notes").take(&world.database).await.unwrap();
    let system = world.database.system();
    let deleted = portable::delete(&system, SETUP, Actor::system(SETUP), &contents, second);
    let deleted = deleted.await.unwrap().unwrap();
    let members = deleted.rows.iter().find(|(table, _)| table == "mt.memberships").unwrap();
    assert_eq!(members.1, 50_001);
    assert_eq!(world.count("select count(*) from mt.memberships").await, 1, "the neighbour");
}

/// The tenant's gate holds every member's writes, as those of the members' own gates did.
#[tokio::test]
async fn deletion_waits_for_open_writes_and_blocks_new_ones() {
    // Three of them are one principal's share.
    let world = World::new(12).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let late = world.grant::<NotesWrite>(owner, tenant).await;
    let delete = world.grant::<Manage>(owner, tenant).await;
    let mut writing = world.tenants.begin(grant).await.unwrap();
    write_note(&mut writing, "under way").await;

    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event = 'advisory'";
    let deleting = async {
        let mut tx = world.tenants.begin(delete).exclusive().await.unwrap();
        Tenant::delete(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let late_write = async {
        while world.count(waiting).await < 1 {}
        // Behind the deletion, which was first.
        let refused = world.tenants.begin(late).await.map(drop).unwrap_err();
        assert!(matches!(refused, mt_core::pg::BeginError::NotAMember), "{refused:?}");
    };
    let ending = async {
        while world.count(waiting).await < 2 {}
        writing.commit().await.unwrap();
    };
    tokio::join!(deleting, late_write, ending);
    assert_eq!(world.count("select count(*) from mt.tenants").await, 0);
}
