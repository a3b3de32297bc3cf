//! Notes: what is worth knowing, shown by two tenants, and no reason to fail.

use mt_core::pg::audit::Rule;
use mt_core::pg::{Database, DatabaseOptions};
use sqlx::{AssertSqlSafe, Executor as _};

use super::{audit, report, two_tenants};
use crate::support::World;

#[tokio::test]
async fn sequence_that_tenants_share_is_a_note() {
    let world = World::new(1).await;
    let tenants = two_tenants(&world).await;
    assert!(report(&world).await.notes.is_empty());
    world
        .db
        .admin()
        .execute(
            "alter table public.notes add number bigint generated always as identity; \
             create sequence public.numbers; grant usage on sequence public.numbers to mt_app",
        )
        .await
        .unwrap();
    let mut seen = Vec::new();
    for tenant in tenants {
        let mut tx = world.db.admin().acquire().await.unwrap();
        let open = format!("begin; call mt.seal('{tenant}', '', ''); set local role mt_app");
        tx.execute(AssertSqlSafe(open)).await.unwrap();
        let next = "select nextval('public.numbers')";
        seen.push(sqlx::query_scalar::<_, i64>(next).fetch_one(&mut *tx).await.unwrap());
        tx.execute("commit").await.unwrap();
    }
    assert_eq!(seen, [1, 2], "one tenant sees that the other drew a number");
    let report = report(&world).await;
    assert!(report.is_clean(), "{report}");
    for sequence in ["public.numbers", "public.notes_number_seq"] {
        assert!(report.names(Rule::SequenceShared, sequence), "{:?}", report.notes);
    }
}

#[tokio::test]
async fn function_that_sets_the_tenant_is_a_note() {
    let world = World::new(1).await;
    let [a, b] = two_tenants(&world).await;
    for (function, sets) in [
        ("plpgsql as $$ begin perform set_config('mt.tenant_id', t::text, true); end $$", true),
        (
            "plpgsql as $$ begin execute 'set local mt.tenant_id = ' || quote_literal(t); end $$",
            true,
        ),
        ("sql begin atomic select set_config('mt.tenant_id', t::text, true); select 1; end", true),
        ("plpgsql set mt.principal_id = 'x' as $$ begin null; end $$", true),
        ("plpgsql as $$ begin perform set_config('statement_timeout', '1s', true); end $$", false),
    ] {
        let sql = format!(
            "drop function if exists public.enter(uuid); \
             create function public.enter(t uuid) returns {} language {function}",
            if function.starts_with("sql") { "int" } else { "void" }
        );
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
        let report = report(&world).await;
        assert!(report.is_clean(), "{report}");
        let is_named = report.names(Rule::FunctionSetsTenant, "public.enter(t uuid)");
        assert_eq!(is_named, sets, "{function}: {:?}", report.notes);
        if function.contains("tenant_id") {
            let mut tx = world.db.admin().acquire().await.unwrap();
            let open = format!(
                "begin; call mt.seal('{b}', '', ''); set local role mt_app; select public.enter('{a}')"
            );
            tx.execute(AssertSqlSafe(open)).await.unwrap();
            let all = "select count(*) from public.notes";
            let found = sqlx::query_scalar::<_, i64>(all).fetch_one(&mut *tx).await;
            assert!(found.is_err(), "the seal does not fit: {function}");
            tx.execute("rollback").await.unwrap();
        }
    }
}

#[tokio::test]
async fn login_that_reaches_the_system_is_a_note() {
    let world = World::new(1).await;
    assert!(report(&world).await.notes.is_empty(), "the tenants' login of two cannot");
    let login = world.db.login();
    let name = login.get_username().to_owned();
    let database = Database::connect(DatabaseOptions::new(login)).await.unwrap();
    let report = audit().run(&database).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(report.names(Rule::LoginReachesSystem, &name), "{:?}", report.notes);
}
