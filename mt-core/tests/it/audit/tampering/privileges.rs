//! Privileges of every role: on columns, on the library's schema, on the database, and default privileges.

use mt_core::pg::audit::Rule;

use super::{Damage, Tampering, each_is_named_and_does_damage};

const TAMPERINGS: [Tampering; 15] = [
    // A tenant gives itself another plan.
    (
        "",
        "grant update (plan) on mt.tenants to public",
        Rule::PrivilegeOfPublic,
        "mt.tenants",
        Damage::Succeeds("update mt.tenants set plan = 'team'"),
    ),
    (
        "create table public.drafts (tenant_id uuid not null, id uuid not null, text text, \
             primary key (tenant_id, id)); \
         alter table public.drafts owner to mt_owner; select mt.isolate('public.drafts'); \
         revoke all on public.drafts from mt_app; \
         insert into public.drafts select tenant_id, id, text from public.notes",
        "grant select on public.drafts to public",
        Rule::PrivilegeOfPublic,
        "public.drafts",
        Damage::Finds("select count(*) from public.drafts"),
    ),
    (
        "",
        "grant update on mt.tenants to mt_app",
        Rule::PrivilegeUnexpected,
        "mt.tenants",
        Damage::Succeeds("update mt.tenants set plan = 'team'"),
    ),
    // The hash of an invite's token.
    (
        "",
        "grant select (token_hash) on mt.invites to mt_app",
        Rule::PrivilegeUnexpected,
        "mt.invites",
        Damage::Succeeds("select token_hash from mt.invites"),
    ),
    (
        "",
        "grant usage on sequence mt.fetch_numbers to mt_app with grant option",
        Rule::PrivilegeUnexpected,
        "mt.fetch_numbers",
        Damage::Succeeds("select nextval('mt.fetch_numbers')"),
    ),
    (
        "",
        "grant execute on function mt.keep_an_owner() to mt_app",
        Rule::PrivilegeUnexpected,
        "mt.keep_an_owner()",
        Damage::Succeeds(
            "do $$ begin assert has_function_privilege('mt.keep_an_owner()', 'execute'); end $$",
        ),
    ),
    // What Postgres knows of the values in a column.
    (
        "insert into public.notes (tenant_id, text) select n.tenant_id, n.text from public.notes n, \
             generate_series(1, 50); analyze public.notes",
        "grant select on pg_statistic to public",
        Rule::PrivilegePastPolicies,
        "pg_catalog.pg_statistic",
        Damage::Finds(
            "select count(*) from pg_statistic where stavalues1::text like '%canary of a%'",
        ),
    ),
    (
        "",
        "grant execute on function pg_read_file(text) to mt_app",
        Rule::PrivilegePastPolicies,
        "pg_catalog.pg_read_file(text)",
        Damage::Succeeds("select pg_read_file('postgresql.conf')"),
    ),
    (
        "",
        "grant create on schema mt to mt_app",
        Rule::RoleCreates,
        "mt",
        Damage::Succeeds("create table mt.planted (x int)"),
    ),
    (
        "create schema open",
        "grant usage, create on schema open to public",
        Rule::RoleCreates,
        "open",
        Damage::Succeeds("create table open.planted (x int)"),
    ),
    (
        "",
        "grant create on database {database} to mt_app",
        Rule::RoleCreates,
        "{database}",
        Damage::Succeeds("create schema planted"),
    ),
    // A connection goes from tenant to tenant, and its temporary tables go with it.
    (
        "",
        "grant temporary on database {database} to public",
        Rule::TemporaryTables,
        "{database}",
        Damage::FindsAfterA(
            "create temporary table kept as select text from public.notes",
            "select count(*) from kept where text = 'canary of a'",
        ),
    ),
    (
        "",
        "grant temporary on database {database} to mt_app",
        Rule::TemporaryTables,
        "{database}",
        Damage::FindsAfterA(
            "create temporary table kept as select text from public.notes",
            "select count(*) from kept where text = 'canary of a'",
        ),
    ),
    (
        "grant create on schema public to mt_owner",
        "alter default privileges for role mt_owner in schema public grant select on tables to mt_app",
        Rule::DefaultPrivilege,
        "mt_owner",
        Damage::FindsLater(
            "set local role mt_owner; create table public.later (text text); reset role; \
             insert into public.later select text from public.notes",
            "select count(*) from public.later where text = 'canary of a'",
        ),
    ),
    (
        "grant create on schema public to mt_owner",
        "alter default privileges for role mt_owner grant select on tables to public",
        Rule::DefaultPrivilege,
        "mt_owner",
        Damage::FindsLater(
            "set local role mt_owner; create table public.later (text text); reset role; \
             insert into public.later select text from public.notes",
            "select count(*) from public.later where text = 'canary of a'",
        ),
    ),
];

#[tokio::test]
async fn tampering_with_privileges() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}
