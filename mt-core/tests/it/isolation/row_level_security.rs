//! Row-level security with the roles of production, on fresh and on reused connections.

use mt_core::access::{AccessError, Denied};
use mt_core::auth::Principal;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::{BeginError, ConnectError, Database, DatabaseOptions, Statements};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgPool};

use crate::support::{
    Acme, Leave, Manage, NotesRead, NotesWrite, Role, SETUP, World, all_notes, write_note,
};

/// Two tenants, each with an owner and a note of its own.
pub(crate) async fn two_tenants(world: &World) -> [(Principal, TenantId); 2] {
    let mut made = Vec::new();
    for name in ["a", "b"] {
        let owner = world.user(name).await;
        let tenant = world.tenant(owner).await;
        let grant = world.grant::<NotesWrite>(owner, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        write_note(&mut tx, &format!("canary of {name}")).await;
        tx.commit().await.unwrap();
        made.push((owner, tenant));
    }
    made.try_into().unwrap()
}

#[tokio::test]
async fn tenant_sees_only_its_own_rows_on_a_reused_connection() {
    let world = World::new(1).await;
    let [(a, of_a), (b, of_b)] = two_tenants(&world).await;
    for (principal, tenant, name) in [(a, of_a, "a"), (b, of_b, "b"), (a, of_a, "a")] {
        let grant = world.grant::<NotesRead>(principal, tenant).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        assert_eq!(all_notes(&mut tx).await, [format!("canary of {name}")]);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn same_queries_show_both_tenants_without_row_level_security() {
    // The negative control of the test above: it can fail.
    let world = World::new(1).await;
    let [(a, of_a), _] = two_tenants(&world).await;
    world.db.admin().execute("alter table public.notes disable row level security").await.unwrap();
    let grant = world.grant::<NotesRead>(a, of_a).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    assert_eq!(all_notes(&mut tx).await.len(), 2);
}

#[tokio::test]
async fn without_a_tenant_no_rows_are_visible_on_any_connection() {
    let world = World::new(1).await;
    let [(_, of_a), (_, of_b)] = two_tenants(&world).await;
    let raw: PgPool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(world.db.admin().connect_options().as_ref().clone())
        .await
        .unwrap();
    let mut conn = raw.acquire().await.unwrap();
    for round in ["fresh", "warm"] {
        for (tenant, seen) in [
            (String::new(), None),
            (TenantId::generate().to_string(), Some(0)),
            (of_a.to_string(), Some(1)),
            (of_b.to_string(), Some(1)),
        ] {
            let sql = format!(
                "begin; reset role; call mt.seal('{tenant}', '', ''); set local role mt_app"
            );
            conn.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            let count = sqlx::query_scalar::<_, i64>("select count(*) from public.notes");
            let rows = count.fetch_one(&mut *conn).await;
            conn.execute("rollback").await.unwrap();
            assert_eq!(rows.ok(), seen, "{round} connection, tenant `{tenant}`");
        }
        // Never set in this transaction, and '' rather than null on a warm connection.
        conn.execute("begin; set local role mt_app").await.unwrap();
        for table in ["mt.tenants", "mt.memberships", "mt.invites", "mt.users"] {
            let count = format!("select count(*) from {table}");
            let rows: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *conn).await.unwrap();
            assert_eq!(rows, 0, "{table} on a {round} connection");
        }
        conn.execute("commit").await.unwrap();
    }
    // And the login itself, outside of the role, has no right to the table at all.
    let mut login = sqlx::PgConnection::connect_with(&world.db.login()).await.unwrap();
    let refused = login.execute("select * from public.notes").await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn row_cannot_be_inserted_or_moved_into_another_tenant() {
    let world = World::new(1).await;
    let [(a, of_a), (_, of_b)] = two_tenants(&world).await;
    for sql in [
        "insert into public.notes (tenant_id, text) values ($1, 'planted')",
        "update public.notes set tenant_id = $1",
    ] {
        let grant = world.grant::<NotesWrite>(a, of_a).await;
        let mut tx = world.tenants.begin(grant).await.unwrap();
        let refused = sqlx::query(sql)
            .bind(of_b.as_uuid())
            .execute(tx.query::<NotesWrite>())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("row-level security"), "{sql}: {refused}");
    }
    let grant = world.grant::<NotesWrite>(a, of_a).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    for sql in [
        "delete from public.notes where tenant_id = $1",
        "update public.notes set text = 'x' where tenant_id = $1",
    ] {
        let hit = sqlx::query(sql)
            .bind(of_b.as_uuid())
            .execute(tx.query::<NotesWrite>())
            .await
            .unwrap()
            .rows_affected();
        assert_eq!(hit, 0, "{sql}");
    }
    tx.commit().await.unwrap();
    assert_eq!(world.count("select count(*) from public.notes").await, 2);
}

#[tokio::test]
async fn read_grant_cannot_write() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two_tenants(&world).await;
    let grant = world.grant::<NotesRead>(a, of_a).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let refused = sqlx::query("insert into public.notes (text) values ('x')")
        .execute(tx.query::<NotesRead>())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
}

#[tokio::test]
async fn grant_is_checked_again_in_the_transaction() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;

    // Each grant is earned first and used after the facts have changed.
    let grant = world.grant::<NotesWrite>(editor, tenant).await;
    let mut tx =
        world.tenants.begin(world.grant::<Manage>(owner, tenant).await).exclusive().await.unwrap();
    tx.assign_role(editor.id(), Role::Viewer).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::Forbidden)), "{refused:?}");

    let grant = world.grant::<NotesRead>(editor, tenant).await;
    world.set(tenant, "suspension = 'full'").await;
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::Suspended)), "{refused:?}");
    world.set(tenant, "suspension = 'none'").await;

    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    world.set(tenant, "subscription_status = 'unpaid'").await;
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::PaymentRequired)), "{refused:?}");
    world.set(tenant, "subscription_status = 'active'").await;

    let grant = world.grant::<NotesRead>(editor, tenant).await;
    let leaving = world.grant::<Leave>(editor, tenant).await;
    let mut tx = world.tenants.begin(leaving).exclusive().await.unwrap();
    tx.remove_member(editor.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::NotAMember), "{refused:?}");

    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    mt_core::pg::User::sign_out(&mut tx, owner.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = world.tenants.load_access(owner, tenant).await.unwrap_err();
    assert!(matches!(refused, AccessError::SignedOut), "{refused:?}");
}

#[tokio::test]
async fn foreign_and_unknown_tenant_give_the_same_error() {
    let world = World::new(1).await;
    let [(_, of_a), (b, _)] = two_tenants(&world).await;
    for tenant in [of_a, TenantId::generate()] {
        let refused = world.tenants.load_access(b, tenant).await.unwrap_err();
        assert!(matches!(refused, AccessError::NotAMember), "{refused:?}");
    }
    let unknown = Principal::new(PrincipalId::generate());
    let refused = world.tenants.load_access(unknown, of_a).await.unwrap_err();
    assert!(matches!(refused, AccessError::SignedOut), "{refused:?}");
}

#[tokio::test]
async fn tenant_transaction_does_not_show_the_principals_other_tenants() {
    let world = World::new(1).await;
    let [(a, of_a), (_, of_b)] = two_tenants(&world).await;
    world.join(of_b, a, Role::Editor).await;
    let grant = world.grant::<NotesRead>(a, of_a).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    for sql in ["select count(*) from mt.memberships", "select count(*) from mt.tenants"] {
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(tx.query::<NotesRead>()).await.unwrap();
        assert_eq!(rows, 1, "{sql}");
    }
    tx.commit().await.unwrap();
    let mut tx = world.database.principals().begin(a).await.unwrap();
    let mine = mt_core::pg::Tenant::of_principal(&mut tx, None, 10).await.unwrap();
    assert_eq!(mine.len(), 2);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn logins_with_bypassrls_are_refused() {
    let world = World::new(1).await;
    let name = world.db.admin().connect_options().get_database().unwrap().to_owned();
    let superuser = (*world.db.admin().connect_options()).clone();
    let refused = Database::connect(DatabaseOptions::new(superuser.clone())).await.unwrap_err();
    assert!(matches!(refused, ConnectError::PrivilegedLogin { .. }), "{refused}");
    // In development it may, and its transactions are bound all the same.
    let database =
        Database::connect(DatabaseOptions::new(superuser).insecure_allow_privileged_login())
            .await
            .unwrap();
    let [(a, of_a), _] = two_tenants(&world).await;
    let tenants = database.tenants::<Acme>(mt_core::billing::StandingPolicy::default());
    let grant = world.grant::<NotesRead>(a, of_a).await;
    let mut tx = tenants.begin(grant).await.unwrap();
    assert_eq!(all_notes(&mut tx).await.len(), 1);
    drop(tx);
    database.close().await;

    let one_login = || DatabaseOptions::new(world.db.login());
    for (attribute, undo) in [("bypassrls", "nobypassrls")] {
        let sql = format!("alter role {name} {attribute}");
        world.db.admin().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let refused = Database::connect(one_login()).await.unwrap_err();
        assert!(matches!(refused, ConnectError::PrivilegedLogin { .. }), "{refused}");
        let sql = format!("alter role {name} {undo}");
        world.db.admin().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    for (change, undo) in [
        (format!("grant mt_owner to {name}"), format!("revoke mt_owner from {name}")),
        (
            format!("revoke mt_system, {name}_s from {name}"),
            format!("grant mt_system, {name}_s to {name}"),
        ),
        (format!("alter role {name} inherit"), format!("alter role {name} noinherit")),
    ] {
        world.db.admin().execute(sqlx::AssertSqlSafe(change.clone())).await.unwrap();
        let refused = Database::connect(one_login()).await;
        assert!(refused.is_err(), "{change}");
        world.db.admin().execute(sqlx::AssertSqlSafe(undo)).await.unwrap();
    }
    Database::connect(one_login()).await.unwrap();
}

#[tokio::test]
async fn unnamed_statements_work_and_leave_no_prepared_statement() {
    let world = World::new(1).await;
    let [(a, of_a), _] = two_tenants(&world).await;
    for (statements, kept) in [(Statements::Unnamed, 0), (Statements::Named, 1)] {
        let options =
            DatabaseOptions::new(world.db.login()).max_connections(1).statements(statements);
        let database = Database::connect(options).await.unwrap();
        let tenants = database.tenants::<Acme>(mt_core::billing::StandingPolicy::default());
        let grant = world.grant::<NotesRead>(a, of_a).await;
        let mut tx = tenants.begin(grant).await.unwrap();
        assert_eq!(all_notes(&mut tx).await.len(), 1);
        let named: i64 = sqlx::query_scalar(
            "select count(*) from pg_prepared_statements where statement like '%public.notes%' \
                 and statement not like '%pg_prepared_statements%'",
        )
        .persistent(false)
        .fetch_one(tx.query::<NotesRead>())
        .await
        .unwrap();
        assert_eq!(named, kept, "{statements:?}");
        drop(tx);
        database.close().await;
    }
}

#[tokio::test]
async fn isolate_refuses_unsafe_tables_with_the_reason() {
    let world = World::new(1).await;
    for (table, reason) in [
        ("x (id uuid primary key)", "tenant_id uuid not null"),
        ("x (tenant_id uuid, id uuid primary key)", "tenant_id uuid not null"),
        (
            "x (tenant_id text not null, id uuid, primary key (tenant_id, id))",
            "tenant_id uuid not null",
        ),
        ("x (tenant_id uuid not null, id uuid primary key)", "must begin with tenant_id"),
        (
            "x (tenant_id uuid not null, id uuid, primary key (id, tenant_id))",
            "must begin with tenant_id",
        ),
        (
            "x (tenant_id uuid not null, id uuid, slug text unique, primary key (tenant_id, id))",
            "must contain tenant_id",
        ),
        (
            "x (tenant_id uuid not null, id uuid, slug text, primary key (tenant_id, id), \
                 unique (slug) include (tenant_id))",
            "must contain tenant_id",
        ),
        (
            "x (tenant_id uuid not null, id uuid, during tstzrange, primary key (tenant_id, id), \
                 exclude using gist (during with &&))",
            "must contain tenant_id",
        ),
        (
            "x (tenant_id uuid not null, id uuid, note uuid, primary key (tenant_id, id)); \
             create unique index n on public.notes (id, tenant_id); \
             alter table public.notes add constraint k unique (id, tenant_id); \
             alter table x add foreign key (note, id) references public.notes (id, tenant_id)",
            "must match tenant_id with tenant_id",
        ),
        (
            "x (tenant_id uuid not null, id uuid, primary key (tenant_id, id)); \
             create policy wide on x using (true)",
            "permissive policy",
        ),
    ] {
        let mut tx = world.db.admin().acquire().await.unwrap();
        let sql = format!("begin; create table {table}");
        tx.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let refused = tx.execute("select mt.isolate('x')").await.unwrap_err();
        tx.execute("rollback").await.unwrap();
        assert!(refused.to_string().contains(reason), "{table}: {refused}");
    }
    // And again on a table that is safe: nothing changes.
    world.db.admin().execute("select mt.isolate('public.notes')").await.unwrap();
}
