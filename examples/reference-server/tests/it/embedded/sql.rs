//! SQL features of the embedded database that the server uses, and differences from a Postgres server.

use embedded_postgres::{EmbeddedPostgres, LOGIN};
use mt_core::pg::{ConnectError, Database, DatabaseOptions, Migration, ProductSchema, ServerLogin};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};

use super::{TIMEOUT, connect, run, sqlstate, temporary, text};

const TENANT_A: &str = "00000000-0000-7000-8000-00000000000a";

/// Roles, policies and one row of one tenant, in the manner of the product's schema.
const SCHEMA: &str = "
    create role mt_owner nologin;
    create role mt_app nologin;
    create role mt_system nologin;
    create role mt_server login noinherit in role mt_app, mt_system;
    create schema mt authorization mt_owner;
    grant usage on schema mt to mt_app, mt_system;
    set role mt_owner;
    create table mt.notes (
        tenant_id uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid,
        id uuid not null default gen_random_uuid(),
        body text not null,
        length int generated always as (char_length(body)) stored,
        primary key (tenant_id, id)
    );
    alter table mt.notes enable row level security;
    alter table mt.notes force row level security;
    create policy own on mt.notes to mt_app using
        (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
    create policy every on mt.notes to mt_system using (true) with check (true);
    grant select, insert on mt.notes to mt_app, mt_system;
    reset role;
    set session authorization mt_server;
    begin;
    set local role mt_app;
    select set_config('mt.tenant_id', '00000000-0000-7000-8000-00000000000a', true);
    insert into mt.notes (body) values ('four');
    commit";

async fn notes(client: &mut PgConnection, open: &'static str) -> sqlx::Result<String> {
    run(client, open).await?;
    let seen = text(client, "select count(*)::text from mt.notes").await;
    run(client, "rollback").await?;
    seen
}

#[tokio::test]
async fn tenants_are_kept_apart() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, SCHEMA).await.unwrap();

    let as_a = "begin; set local role mt_app; \
                select set_config('mt.tenant_id', '00000000-0000-7000-8000-00000000000a', true)";
    assert!(as_a.contains(TENANT_A));
    assert_eq!(notes(&mut client, as_a).await.unwrap(), "1");
    let as_b = "begin; set local role mt_app; \
                select set_config('mt.tenant_id', '00000000-0000-7000-8000-00000000000b', true)";
    assert_eq!(notes(&mut client, as_b).await.unwrap(), "0");
    assert_eq!(notes(&mut client, "begin; set local role mt_app").await.unwrap(), "0");
    assert_eq!(notes(&mut client, "begin; set local role mt_system").await.unwrap(), "1");

    // Nothing is left of the roles: the login by itself reaches nothing.
    let bare = notes(&mut client, "begin").await.unwrap_err();
    assert_eq!(bare.as_database_error().unwrap().code().as_deref(), Some("42501"));
    run(&mut client, "rollback").await.unwrap();

    // Another tenant's row cannot be written either.
    run(&mut client, as_b).await.unwrap();
    let foreign = "insert into mt.notes (tenant_id, body) \
                   values ('00000000-0000-7000-8000-00000000000a', 'forged')";
    assert_eq!(sqlstate(&mut client, foreign).await.as_deref(), Some("42501"));
    run(&mut client, "rollback").await.unwrap();
}

/// Why the login role has `noinherit`: with it, the policies of the roles that it is a member of
/// are its own, and a query that forgot `set local role` would see every tenant. Not a trait of the
/// embedded engine: so it is in every Postgres.
#[tokio::test]
async fn login_with_inherit_would_see_all_tenants() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, SCHEMA).await.unwrap();
    run(&mut client, "set session authorization postgres").await.unwrap();
    run(&mut client, "create role careless login inherit in role mt_app, mt_system").await.unwrap();
    run(&mut client, "set session authorization careless").await.unwrap();
    assert_eq!(notes(&mut client, "begin").await.unwrap(), "1");
}

#[tokio::test]
async fn login_role_cannot_set_roles_it_is_not_a_member_of() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, SCHEMA).await.unwrap();
    for forbidden in ["set role mt_owner", "set role postgres", "create role another"] {
        assert_eq!(sqlstate(&mut client, forbidden).await.as_deref(), Some("42501"), "{forbidden}");
    }
    let user = "select concat_ws(' ', session_user, current_user)";
    run(&mut client, "reset session authorization").await.unwrap();
    assert_eq!(text(&mut client, user).await.unwrap(), "mt_server mt_server");
    // The name given at login does not count, so this way back stays open: the engine keeps
    // mistakes apart, not an attacker who can already run SQL.
    run(&mut client, "set session authorization postgres").await.unwrap();
    assert_eq!(text(&mut client, user).await.unwrap(), "postgres postgres");
}

#[tokio::test]
async fn what_the_product_needs_works() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, SCHEMA).await.unwrap();
    run(&mut client, "set session authorization postgres").await.unwrap();
    for statement in [
        "begin; select * from mt.notes for no key update; commit",
        "begin read only; select * from mt.notes; commit",
        "select * from mt.notes for update skip locked",
        "begin; select pg_advisory_xact_lock(1); select pg_try_advisory_xact_lock(2); commit",
        "begin isolation level serializable; select 1; commit",
        "listen news; unlisten news",
        "alter role mt_server set statement_timeout = '5s'",
        "do $$ begin execute format('create table mt.%I (a int primary key)', 'made'); end $$",
        "create function mt.refuse() returns trigger language plpgsql as $$ begin \
         if new.a = 7 then raise exception 'seven' using errcode = 'MT007'; end if; return null; end $$",
        "create constraint trigger refuse after insert on mt.made deferrable initially deferred \
         for each row execute function mt.refuse()",
        "create function mt.who() returns text language sql security definer \
         set search_path = pg_catalog as $$ select current_user::text $$",
        "insert into mt.made values (1) on conflict (a) do update set a = excluded.a returning a",
        "with gone as (delete from mt.made returning a) insert into mt.made select a + 1 from gone",
        "create unique index concurrently made_twice on mt.made (a)",
    ] {
        run(&mut client, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    for (statement, code) in [
        ("begin; insert into mt.made values (7); commit", "MT007"),
        ("insert into mt.made values (2)", "23505"),
        ("begin read only; insert into mt.made values (3)", "25006"),
        ("select 1; select 1 / 0; select 2", "22012"),
    ] {
        assert_eq!(sqlstate(&mut client, statement).await.as_deref(), Some(code), "{statement}");
        run(&mut client, "rollback").await.unwrap();
    }
    assert_eq!(text(&mut client, "select length::text from mt.notes").await.unwrap(), "4");
    assert_eq!(text(&mut client, "select count(*)::text from mt.made").await.unwrap(), "1");
    assert_eq!(text(&mut client, "select mt.who()").await.unwrap(), "postgres");
}

#[tokio::test]
async fn migrations_run() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0001_a.sql"), "create table a (a int); create table b (b int)")
        .unwrap();
    std::fs::write(dir.path().join("0002_b.sql"), "insert into a values (1)").unwrap();
    let migrator = Migrator::new(dir.path()).await.unwrap();
    let postgres = temporary().await;
    for _ in 0..2 {
        let mut client = connect(&postgres).await;
        migrator.run(&mut client).await.unwrap();
        assert_eq!(text(&mut client, "select count(*)::text from a").await.unwrap(), "1");
        client.close().await.unwrap();
    }

    std::fs::write(dir.path().join("0003_c.sql"), "insert into a values (2); select 1 / 0")
        .unwrap();
    let migrator = Migrator::new(dir.path()).await.unwrap();
    let mut client = connect(&postgres).await;
    assert!(migrator.run(&mut client).await.is_err());
    client.close().await.unwrap();
    let mut client = connect(&postgres).await;
    assert_eq!(text(&mut client, "select count(*)::text from a").await.unwrap(), "1");
}

/// The list in the documentation of `embedded`. When one of these fails, the engine has learnt
/// something: shorten the list.
#[tokio::test]
async fn documented_differences_from_a_postgres_server_hold() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    let slow = "set statement_timeout = '10ms'; select pg_sleep(0.1)";
    assert_eq!(sqlstate(&mut client, slow).await, None, "timeouts are ignored");
    let extension = "create extension pgcrypto";
    assert_eq!(sqlstate(&mut client, extension).await.as_deref(), Some("0A000"));
    run(&mut client, "create role timid; alter role timid set lock_timeout = '5s'").await.unwrap();
    run(&mut client, "set session authorization timid").await.unwrap();
    assert_eq!(text(&mut client, "show lock_timeout").await.unwrap(), "0");

    // A handler that has nothing to handle does no harm …
    let idle = "do $$ begin perform 1; exception when others then null; end $$";
    assert_eq!(sqlstate(&mut client, idle).await, None);
    // … one that has is not run, and the connection is good for nothing from then on.
    let busy = "do $$ begin perform 1 / 0; exception when division_by_zero then null; end $$";
    assert_eq!(sqlstate(&mut client, busy).await.as_deref(), Some("22012"));
    assert!(run(&mut client, "rollback").await.is_err());
    assert_eq!(sqlstate(&mut client, "select 1").await.as_deref(), Some("25P02"));
    drop(client);
    assert_eq!(text(&mut connect(&postgres).await, "select 'well'").await.unwrap(), "well");
}

/// The library's schema and the product's, by the migrator that the server uses, and then the pool
/// that the server uses.
#[tokio::test]
async fn product_schema_and_server_work_on_the_embedded_database() {
    let product: Migrator = sqlx::migrate!("./migrations");
    let postgres = temporary().await;
    let migration = Migration::library()
        .with_product(ProductSchema { name: "app", migrator: &product })
        .for_login(ServerLogin::Create(LOGIN));
    for _ in 0..2 {
        migration.run(&postgres.admin_options()).await.unwrap();
    }
    assert!(migration.pending(&postgres.admin_options()).await.unwrap().is_empty());

    let options = DatabaseOptions::new(postgres.admin_options())
        .max_connections(EmbeddedPostgres::MAX_CONNECTIONS)
        .acquire_timeout(TIMEOUT);
    let privileged = Database::connect(options.clone()).await;
    assert!(matches!(privileged, Err(ConnectError::PrivilegedLogin { .. })), "{privileged:?}");
    let database = Database::connect(options.session_authorization(LOGIN)).await.unwrap();
    database.ping().await.unwrap();
}
