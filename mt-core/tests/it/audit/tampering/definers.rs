//! Objects that run with their owner's rights in any schema: views, functions and triggers; and foreign
//! tables.

use mt_core::pg::audit::Rule;

use super::{Damage, Tampering, each_is_named_and_does_damage};

const HIDDEN: &str = "create schema hidden; create schema api; grant usage on schema api to mt_app";

const TAMPERINGS: [Tampering; 9] = [
    // A view of a view, in a schema that the audit was not told of.
    (
        HIDDEN,
        "create view hidden.notes as select * from public.notes; \
         create view api.shown as select * from hidden.notes; grant select on api.shown to mt_app",
        Rule::ViewOfItsOwner,
        "api.shown",
        Damage::Finds("select count(*) from api.shown where text = 'canary of a'"),
    ),
    (
        HIDDEN,
        "create view api.shown with (security_invoker = off) as select * from public.notes; \
         grant update (text) on api.shown to public",
        Rule::ViewOfItsOwner,
        "api.shown",
        Damage::Succeeds("do $$ begin update api.shown set text = 'changed'; assert found; end $$"),
    ),
    (
        HIDDEN,
        "create view hidden.notes as select * from public.notes; \
         create materialized view api.kept as select * from hidden.notes; grant select on api.kept to mt_app",
        Rule::MaterializedView,
        "api.kept",
        Damage::Finds("select count(*) from api.kept where text = 'canary of a'"),
    ),
    // What it is made of cannot be seen in the catalogue.
    (
        HIDDEN,
        "create function hidden.notes() returns setof text language plpgsql \
             as $$ begin return query select text from public.notes; end $$; \
         create materialized view api.kept as select n as text from hidden.notes() n; \
         grant select on api.kept to mt_app",
        Rule::MaterializedView,
        "api.kept",
        Damage::Finds("select count(*) from api.kept where text = 'canary of a'"),
    ),
    (
        HIDDEN,
        "create function api.counted() returns bigint language plpgsql security definer \
             set search_path = pg_catalog, pg_temp \
             as $$ begin return (select count(*) from public.notes where text = 'canary of a'); end $$",
        Rule::DefinerExecutable,
        "api.counted()",
        Damage::Finds("select api.counted()"),
    ),
    // No role may call it, and a trigger does.
    (
        "",
        "create function public.gossip() returns trigger language plpgsql security definer \
             set search_path = pg_catalog, pg_temp \
             as $$ begin new.text = (select string_agg(text, ' ') from public.notes); return new; end $$; \
         revoke execute on function public.gossip() from public; \
         create trigger gossip before update on public.notes for each row execute function public.gossip()",
        Rule::DefinerExecutable,
        "public.gossip()",
        Damage::Succeeds(
            "do $$ declare told text; begin update public.notes set text = '' returning text into told; \
                 assert told like '%canary of a%'; end $$",
        ),
    ),
    (
        "create schema nothing; create table nothing.notes (text text); \
         create function public.counted() returns bigint language sql security definer \
             set search_path = nothing, pg_temp \
             as $$ select count(*) from notes where text = 'canary of a' $$",
        "alter function public.counted() reset search_path",
        Rule::DefinerUnpinned,
        "public.counted()",
        Damage::Finds("select public.counted()"),
    ),
    // A table of a schema that the audit was not told of.
    (
        HIDDEN,
        "create table api.notes as select * from public.notes; \
         alter table api.notes alter tenant_id set not null; create index on api.notes (tenant_id); \
         grant select on api.notes to mt_app",
        Rule::RlsDisabled,
        "api.notes",
        Damage::Finds("select count(*) from api.notes where text = 'canary of a'"),
    ),
    // The server shows its own rows, by its superuser's login.
    (
        "create extension postgres_fdw; \
         do $$ begin execute format('create server itself foreign data wrapper postgres_fdw \
             options (host ''127.0.0.1'', port %L, dbname %L)', inet_server_port(), current_database()); \
         end $$; \
         create user mapping for public server itself \
             options (user '{superuser}', password '{password}', password_required 'false')",
        "create foreign table public.elsewhere (text text) server itself \
             options (schema_name 'public', table_name 'notes'); \
         grant select on public.elsewhere to mt_app",
        Rule::ForeignTable,
        "public.elsewhere",
        Damage::Finds("select count(*) from public.elsewhere where text = 'canary of a'"),
    ),
];

#[tokio::test]
async fn tampering_with_what_runs_with_its_owners_rights() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}

/// An owner whom no policy binds is named with the function.
#[tokio::test]
async fn owner_with_bypassrls_is_reported() {
    use sqlx::Executor as _;

    let world = crate::support::World::new(1).await;
    let function = "create function public.counted() returns bigint language sql security definer \
             set search_path = pg_catalog, pg_temp as 'select count(*) from public.notes'";
    world.db.admin().execute(function).await.unwrap();
    let detail = async || {
        let report = crate::audit::report(&world).await;
        let [finding] = &report.findings[..] else { panic!("one finding, and not {report}") };
        assert_eq!(finding.rule, Rule::DefinerExecutable);
        finding.detail.clone()
    };
    let said = detail().await.unwrap();
    assert!(said.starts_with("no policy binds its owner, "), "{said}");
    world.db.admin().execute("alter function public.counted() owner to mt_owner").await.unwrap();
    assert_eq!(detail().await, None);
}
