//! A service's transaction: what it sees, what refuses it, and what waits for it.

use std::sync::Arc;

use mt_core::access::{Denied, Suspension};
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{BeginError, Database, DatabaseOptions, Isolation, Statements, Tenant, Tenants};
use mt_core::testing::Relay;

use super::{Archivist, tenants};
use crate::support::{Acme, NotesRead, NotesWrite, SETUP, World, all_notes, write_note};

const NOTE_ARCHIVED: Action = Action::new("note.archived", "note");

#[tokio::test]
async fn service_sees_one_tenant_and_the_audit_log_names_it() {
    let world = World::new(1).await;
    let [one, other] = tenants(&world, 2).await.try_into().unwrap();
    for (tenant, text) in [(one, "of one"), (other, "of the other")] {
        let mut tx = world.tenants.begin_as::<Archivist, NotesWrite>(tenant).await.unwrap();
        write_note(&mut tx, text).await;
        tx.commit().await.unwrap();
    }
    let mut tx = world.tenants.begin_as::<Archivist, NotesRead>(one).await.unwrap();
    assert_eq!((tx.tenant(), tx.access().service()), (one, "archivist"));
    assert_eq!(all_notes(&mut tx).await, ["of one"]);
    tx.commit().await.unwrap();

    let mut tx = world.tenants.begin_as::<Archivist, NotesWrite>(one).await.unwrap();
    let changed = sqlx::query("update public.notes set text = 'archived'")
        .execute(tx.execute::<NotesWrite>(NOTE_ARCHIVED.on(one.as_uuid())))
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1, "the other tenant's note is not in sight");
    tx.commit().await.unwrap();
    let named: (String, String, uuid::Uuid) = sqlx::query_as(
        "select actor_kind, actor_name, tenant_id from mt.audit_log where action = 'note.archived'",
    )
    .fetch_one(world.db.admin())
    .await
    .unwrap();
    assert_eq!(named, ("service".to_owned(), "archivist".to_owned(), one.as_uuid()));
}

#[tokio::test]
async fn write_under_a_read_permission_fails() {
    let world = World::new(1).await;
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    let mut tx = world.tenants.begin_as::<Archivist, NotesRead>(tenant).await.unwrap();
    let refused = sqlx::query("insert into public.notes (text) values ('x')")
        .execute(tx.query::<NotesRead>())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
}

/// What a tenant answers to a service that wants to read, and to one that wants to write.
async fn answers(tenants: &Tenants<Acme>, tenant: TenantId) -> [Option<&'static str>; 2] {
    let read = tenants.begin_as::<Archivist, NotesRead>(tenant).await.map(drop);
    let write = tenants.begin_as::<Archivist, NotesWrite>(tenant).await.map(drop);
    [read, write].map(|opened| match opened {
        Ok(()) => None,
        Err(BeginError::Denied(Denied::Suspended)) => Some("suspended"),
        Err(BeginError::Denied(Denied::PaymentRequired)) => Some("unpaid"),
        Err(BeginError::NotAMember) => Some("gone"),
        Err(other) => panic!("{other:?}"),
    })
}

#[tokio::test]
async fn tenant_decides_on_a_service_as_on_its_members() {
    let world = World::new(2).await;
    let [tenant, other] = tenants(&world, 2).await.try_into().unwrap();
    for (assignment, expected) in [
        ("suspension = 'read_only'", [None, Some("suspended")]),
        ("suspension = 'full'", [Some("suspended"), Some("suspended")]),
        ("suspension = 'none'", [None, None]),
        ("subscription_status = 'unpaid'", [None, Some("unpaid")]),
        ("subscription_status = 'active'", [None, None]),
    ] {
        world.set(tenant, assignment).await;
        assert_eq!(answers(&world.tenants, tenant).await, expected, "{assignment}");
        assert_eq!(answers(&world.tenants, other).await, [None, None]);
    }
    sqlx::query("delete from mt.tenants where id = $1")
        .bind(tenant.as_uuid())
        .execute(world.db.admin())
        .await
        .unwrap();
    assert_eq!(answers(&world.tenants, tenant).await, [Some("gone"), Some("gone")]);
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn suspension_waits_for_the_writes_of_a_service() {
    let world = Arc::new(World::new(4).await);
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    let mut tx = world.tenants.begin_as::<Archivist, NotesWrite>(tenant).await.unwrap();
    write_note(&mut tx, "in time").await;
    let suspending = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            let mut tx = world.database.system().begin(SETUP).await.unwrap();
            Tenant::suspend(&mut tx, tenant, Suspension::Full).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event = 'advisory'";
    while world.count(waiting).await == 0 {
        assert!(!suspending.is_finished(), "it did not wait");
    }
    tx.commit().await.unwrap();
    suspending.await.unwrap();
    assert_eq!(answers(&world.tenants, tenant).await, [Some("suspended"), Some("suspended")]);
    assert_eq!(world.count("select count(*) from public.notes").await, 1);
}

#[tokio::test]
async fn opening_takes_one_round_trip() {
    let world = World::new(1).await;
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()))
        .max_connections(1)
        .statements(Statements::Named);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants::<Acme>(StandingPolicy::default());
    for warm in [false, true] {
        let tx = tenants.begin_as::<Archivist, NotesWrite>(tenant).await.unwrap();
        let trips = relay.take_round_trips();
        tx.commit().await.unwrap();
        let _ = relay.take_round_trips();
        assert!(!warm || trips.len() == 1, "{trips:#?}");
    }
}

#[tokio::test]
async fn service_works_behind_a_pooler_and_in_every_isolation_level() {
    let world = World::new(1).await;
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    for statements in [Statements::Named, Statements::Unnamed] {
        for isolation in
            [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable]
        {
            let options = world.db.options(1).statements(statements).isolation(isolation);
            let database = Database::connect(options).await.unwrap();
            let tenants = database.tenants::<Acme>(StandingPolicy::default());
            let mut tx = tenants.begin_as::<Archivist, NotesWrite>(tenant).await.unwrap();
            write_note(&mut tx, "a note").await;
            tx.commit().await.unwrap();
            database.close().await;
        }
    }
    assert_eq!(world.count("select count(*) from public.notes").await, 6);
}
