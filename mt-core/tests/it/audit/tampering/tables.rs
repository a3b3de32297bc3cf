//! Tables, their keys, and the basics of their policies.

use mt_core::pg::audit::Rule;

use super::{Damage, OF_A, Tampering, each_is_named_and_does_damage};

const TAMPERINGS: [Tampering; 21] = [
    (
        "",
        "alter table public.notes disable row level security",
        Rule::RlsDisabled,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "alter table public.notes no force row level security",
        Rule::RlsNotForced,
        "public.notes",
        Damage::OwnerFinds(OF_A),
    ),
    (
        "",
        "drop policy mt_isolation on public.notes",
        Rule::CommandWithoutPolicy,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "create policy more on public.notes to mt_app using (true)",
        Rule::PolicyAlwaysTrue,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "create policy more on public.notes for insert to mt_app with check (true)",
        Rule::PolicyAlwaysTrue,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "create policy more on public.notes for select to mt_app using (id is not null)",
        Rule::PolicyIgnoresTenant,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "create policy more on public.notes using (tenant_id is not null \
             or (select current_setting('mt.tenant_id', true)) = '')",
        Rule::PolicyForEverybody,
        "public.notes",
        Damage::Tables,
    ),
    (
        "create view public.shown with (security_invoker = true) as select * from public.notes; \
         grant select on public.shown to mt_app",
        "alter view public.shown reset (security_invoker)",
        Rule::ViewOfItsOwner,
        "public.shown",
        Damage::Finds("select count(*) from public.shown where text = 'canary of a'"),
    ),
    (
        "",
        "create materialized view public.kept as select * from public.notes; \
         grant select on public.kept to mt_app",
        Rule::MaterializedView,
        "public.kept",
        Damage::Finds("select count(*) from public.kept where text = 'canary of a'"),
    ),
    (
        "create function public.counted() returns bigint language sql security definer \
             set search_path = pg_catalog, pg_temp \
             as $$ select count(*) from public.notes where text = 'canary of a' $$; \
         revoke execute on function public.counted() from public",
        "grant execute on function public.counted() to mt_app",
        Rule::DefinerExecutable,
        "public.counted()",
        Damage::Finds("select public.counted()"),
    ),
    (
        "",
        "grant truncate on public.notes to mt_app",
        Rule::PrivilegePastPolicies,
        "public.notes",
        Damage::Succeeds("truncate public.notes"),
    ),
    (
        "",
        "alter table public.notes owner to mt_app",
        Rule::RoleOwns,
        "public.notes",
        Damage::Succeeds("alter table public.notes disable row level security"),
    ),
    (
        "",
        "grant create on schema public to mt_app",
        Rule::RoleCreates,
        "public",
        Damage::Succeeds("create table public.planted (x int)"),
    ),
    (
        "create table public.parts (tenant_id uuid not null, id uuid not null, note_id uuid, \
             primary key (tenant_id, id), \
             constraint parts_note foreign key (tenant_id, note_id) references public.notes (tenant_id, id)); \
         alter table public.parts owner to mt_owner; select mt.isolate('public.parts'); \
         update public.notes set id = '00000000-0000-0000-0000-00000000000a' where text = 'canary of a'",
        "alter table public.parts drop constraint parts_note; \
         create unique index notes_id on public.notes (id); \
         alter table public.parts add constraint parts_note foreign key (note_id) references public.notes (id)",
        Rule::ForeignKeyOmitsTenant,
        "public.parts",
        Damage::Succeeds(
            "insert into public.parts (id, note_id) \
                 values (gen_random_uuid(), '00000000-0000-0000-0000-00000000000a')",
        ),
    ),
    (
        "",
        "create unique index notes_text on public.notes (text)",
        Rule::UniqueOmitsTenant,
        "public.notes",
        Damage::Fails("insert into public.notes (text) values ('canary of a')", "23505"),
    ),
    (
        "",
        "create unique index notes_text on public.notes (text) include (tenant_id)",
        Rule::UniqueOmitsTenant,
        "public.notes",
        Damage::Fails("insert into public.notes (text) values ('canary of a')", "23505"),
    ),
    (
        "",
        "create table public.loose as select * from public.notes; \
         alter table public.loose alter tenant_id set not null; create index on public.loose (tenant_id); \
         grant select on public.loose to mt_app",
        Rule::RlsDisabled,
        "public.loose",
        Damage::Finds("select count(*) from public.loose where text = 'canary of a'"),
    ),
    (
        "",
        "create table public.everyones as select text from public.notes; \
         grant select on public.everyones to mt_app",
        Rule::TenantMissing,
        "public.everyones",
        Damage::Finds("select count(*) from public.everyones where text = 'canary of a'"),
    ),
    (
        "create table public.parted (tenant_id uuid not null, id uuid not null default gen_random_uuid(), \
             text text, primary key (tenant_id, id)) partition by hash (tenant_id); \
         create table public.part partition of public.parted for values with (modulus 1, remainder 0); \
         alter table public.parted owner to mt_owner; select mt.isolate('public.parted'); \
         insert into public.parted select tenant_id, id, text from public.notes",
        "grant select on public.part to mt_app",
        Rule::RlsDisabled,
        "public.part",
        Damage::Finds("select count(*) from public.part where text = 'canary of a'"),
    ),
    (
        "",
        "drop policy mt_isolation on public.notes; \
         create policy slow on public.notes to mt_app \
             using (tenant_id = current_setting('mt.tenant_id')::uuid)",
        Rule::PolicyPerRow,
        "public.notes",
        Damage::Tables,
    ),
    (
        "",
        "alter table public.notes drop constraint notes_pkey, alter tenant_id drop not null; \
         create policy strays on public.notes to mt_app using (tenant_id is null \
             and (select current_setting('mt.tenant_id', true)) is not null); \
         update public.notes set tenant_id = null where text = 'canary of a'",
        Rule::TenantNullable,
        "public.notes",
        Damage::Finds(OF_A),
    ),
];

#[tokio::test]
async fn tampering_with_tables() {
    each_is_named_and_does_damage(&TAMPERINGS).await;
}
