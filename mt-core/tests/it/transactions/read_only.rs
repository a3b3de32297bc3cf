//! Statements in a tenant transaction: one at a time, and read-only under a read permission.

use std::borrow::Cow;

use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, PgError, query_scalar};
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::isolation::row_level_security::two_tenants;
use crate::support::{NotesRead, NotesWrite, SETUP, World, all_notes, write_note};

/// A function that changes rows, which a `select` may call.
const RENAMES: &str = "create function public.rename_all() returns bigint language sql \
     as $$ update public.notes set text = 'changed'; select 1::bigint $$";

async fn world() -> (World, Principal, TenantId) {
    let world = World::new(1).await;
    let [(owner, tenant), _] = two_tenants(&world).await;
    world.db.admin().execute(RENAMES).await.unwrap();
    world.db.admin().execute("grant update on public.notes to mt_app").await.unwrap();
    (world, owner, tenant)
}

const CHANGES: [&str; 5] = [
    "update public.notes set text = 'changed'",
    "insert into public.notes (tenant_id, text) values (mt.tenant_id(), 'changed')",
    "delete from public.notes",
    "with changed as (update public.notes set text = 'changed' returning 1) select * from changed",
    "select public.rename_all()",
];

async fn changed(world: &World) -> i64 {
    world.count("select count(*) from public.notes where text = 'changed'").await
        + (2 - world.count("select count(*) from public.notes").await)
}

#[tokio::test]
async fn statement_under_a_read_permission_changes_nothing() {
    let (world, owner, tenant) = world().await;
    for sql in CHANGES {
        // Right after the opening, and after a change.
        for is_first in [true, false] {
            let grant = world.grant::<NotesWrite>(owner, tenant).await;
            let mut tx = world.tenants.begin(grant).await.unwrap();
            if !is_first {
                write_note(&mut tx, "another").await;
            }
            let refused = sqlx::query(sql).execute(tx.query::<NotesRead>()).await.unwrap_err();
            let code = refused.as_database_error().and_then(DatabaseError::code);
            assert_eq!(code.as_deref(), Some("25006"), "{sql}: {refused}");
            // It is the program's error, and trying again does not help.
            assert!(matches!(PgError::from(refused), PgError::Database(_)), "{sql}");
            assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))), "{sql}");
        }
        assert_eq!(changed(&world).await, 0, "{sql}");
    }
    // The control: under a permission that writes the same statements do it.
    for sql in CHANGES {
        let grant = world.grant::<NotesWrite>(owner, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        sqlx::query(sql).execute(tx.query::<NotesWrite>()).await.unwrap();
        let seen = all_notes(&mut tx).await;
        assert!(seen.is_empty() || seen.contains(&"changed".to_owned()), "{sql}: {seen:?}");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn read_and_write_statements_alternate_in_one_transaction() {
    let (world, owner, tenant) = world().await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    for round in 0_usize..3 {
        assert_eq!(all_notes(&mut tx).await.len(), round + 1);
        assert_eq!(all_notes(&mut tx).await.len(), round + 1);
        write_note(&mut tx, "one more").await;
    }
    assert_eq!(all_notes(&mut tx).await.len(), 4);
    tx.commit().await.unwrap();
    assert_eq!(world.count("select count(*) from public.notes").await, 5);

    // What was written is taken back from a part that only reads as well.
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    write_note(&mut tx, "taken back").await;
    all_notes(&mut tx).await;
    tx.rollback().await.unwrap();
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    all_notes(&mut tx).await;
    drop(tx);
    world.no_transaction_stays_open().await;
    assert_eq!(world.count("select count(*) from public.notes").await, 5);
}

/// Texts that are not one statement that reads or changes rows.
const REFUSED: [&str; 14] = [
    "commit",
    "rollback",
    "/* select */ commit and chain",
    "begin",
    "savepoint a",
    "release savepoint mt_reading",
    "set role mt_system",
    "set local mt.tenant_id = ''",
    "set transaction read write",
    "reset role",
    "set session authorization default",
    "discard all",
    "do $$ begin null; end $$",
    "",
];

#[tokio::test]
async fn statement_text_cannot_end_the_transaction_or_change_the_role() {
    let (world, owner, tenant) = world().await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    write_note(&mut tx, "kept").await;
    for sql in REFUSED {
        for refused in [
            sqlx::query(sql).execute(tx.query::<NotesWrite>()).await.unwrap_err(),
            sqlx::raw_sql(sql).execute(tx.query::<NotesRead>()).await.unwrap_err(),
            tx.query::<NotesRead>().prepare(AssertSqlSafe(sql).into_sql_str()).await.unwrap_err(),
        ] {
            assert!(refused.to_string().contains("select, insert, update"), "{sql}: {refused}");
        }
    }
    // Nothing was sent, so the transaction goes on.
    assert_eq!(all_notes(&mut tx).await.len(), 2);
    tx.commit().await.unwrap();

    // The same where nothing is of a tenant.
    let mut tx = world.database.principals().begin(owner).await.unwrap();
    assert!(sqlx::query("commit").execute(tx.conn()).await.is_err());
    tx.commit().await.unwrap();
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    assert!(sqlx::query("commit").execute(tx.conn()).await.is_err());
    tx.commit().await.unwrap();
    let read = world.grant::<NotesRead>(owner, tenant).await;
    let query = query_scalar::<String>("set role mt_system");
    let refused = query.fetch_all(world.tenants.read(read)).await;
    assert!(matches!(refused, Err(BeginError::Pg(PgError::Database(_)))), "{refused:?}");
}

#[tokio::test]
async fn second_statement_after_a_semicolon_is_not_executed() {
    let (world, owner, tenant) = world().await;
    for raw in [false, true] {
        let grant = world.grant::<NotesWrite>(owner, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        let sql = "select 1; commit";
        let refused = if raw {
            sqlx::raw_sql(sql).execute(tx.query::<NotesWrite>()).await
        } else {
            sqlx::query(sql).execute(tx.query::<NotesWrite>()).await
        };
        let code = refused
            .unwrap_err()
            .as_database_error()
            .and_then(|error| error.code().map(Cow::into_owned));
        assert_eq!(code.as_deref(), Some("42601"));
    }
}
