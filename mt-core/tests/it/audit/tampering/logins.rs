//! A login that can become more than a transaction role.
//!
//! `createdb` shows no row of a tenant, so that it is only named.

use mt_core::pg::audit::{Audit, Rule};
use sqlx::{AssertSqlSafe, Executor as _};

use super::{Damage, OF_A, Tampering, counted, drop_roles, each_is_named_and_does_damage};
use crate::audit::{report, two_tenants};
use crate::support::World;

const TAMPERINGS: [Tampering; 10] = [
    (
        "",
        "alter role {login} createrole",
        Rule::RoleMakesRoles,
        "{login}",
        Damage::LoginSucceeds("create role extra_{login}_made"),
    ),
    (
        "grant select on public.notes to {login}",
        "alter role {login} bypassrls",
        Rule::RoleSkipsPolicies,
        "{login}",
        Damage::LoginFinds("", OF_A),
    ),
    (
        "create role extra_{login}_strong superuser",
        "grant extra_{login}_strong to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginFinds("set local role extra_{login}_strong", OF_A),
    ),
    (
        "create role extra_{login}_strong bypassrls; grant select on public.notes to extra_{login}_strong",
        "grant extra_{login}_strong to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginFinds("set local role extra_{login}_strong", OF_A),
    ),
    // Through others.
    (
        "create role extra_{login}_strong bypassrls; grant select on public.notes to extra_{login}_strong; \
         create role extra_{login}_more; create role extra_{login}_most; grant extra_{login}_strong to extra_{login}_most; \
         grant extra_{login}_most to extra_{login}_more",
        "grant extra_{login}_more to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginFinds("set local role extra_{login}_strong", OF_A),
    ),
    (
        "create role extra_{login}_maker createrole",
        "grant extra_{login}_maker to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginSucceeds("set local role extra_{login}_maker; create role extra_{login}_made"),
    ),
    (
        "",
        "grant mt_owner to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginFinds(
            "set local role mt_owner; alter table public.notes disable row level security",
            OF_A,
        ),
    ),
    // A table that no role of transactions reaches.
    (
        "create table public.imported as select text from public.notes",
        "grant pg_read_all_data to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginFinds(
            "set local role pg_read_all_data",
            "select count(*) from public.imported where text = 'canary of a'",
        ),
    ),
    (
        "",
        "grant pg_execute_server_program to {login}",
        Rule::RoleMayBecome,
        "{login}",
        Damage::LoginSucceeds(
            "set local role pg_execute_server_program; copy (select 1) to program 'cat > /dev/null'",
        ),
    ),
    (
        "",
        "alter table public.notes owner to {login}",
        Rule::RoleOwns,
        "public.notes",
        Damage::LoginFinds("alter table public.notes disable row level security", OF_A),
    ),
];

#[tokio::test]
async fn tampering_with_the_login() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}

#[tokio::test]
async fn login_that_may_create_databases_is_reported() {
    let world = World::new(1).await;
    let login = world.db.login().get_username().to_owned();
    let sql = format!("alter role {login} createdb");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let report = report(&world).await;
    assert!(report.names(Rule::RoleMakesRoles, &login), "{report}");
}

/// A role of transactions is a member of none that sees more: it would have its rights without taking it on.
#[tokio::test]
async fn transaction_role_that_is_a_member_of_the_system_role_is_reported() {
    let world = World::new(1).await;
    two_tenants(&world).await;
    let login = world.db.login().get_username().to_owned();
    let worker = format!("extra_{login}_worker");
    let audit = Audit::library().schema("public").role(&worker);
    let sql = format!("create role {worker} inherit in role mt_app");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let sees = async || {
        let role = format!("begin; set local role {worker}");
        counted(&world, &[&role], "select count(*) from mt.tenants").await.unwrap()
    };
    assert_eq!(sees().await, 0);
    let clean = audit.run(&world.database).await.unwrap();
    assert!(clean.is_clean(), "{clean}");
    let sql = format!("grant mt_system to {worker}");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    assert_eq!(sees().await, 2);
    let report = audit.run(&world.database).await.unwrap();
    assert!(report.names(Rule::RoleMayBecome, &worker), "{report}");
    drop_roles(&world, &login).await;
}
