//! Tamperings: each is named by the audit, and does damage to two living tenants.

use mt_core::id::TenantId;
use mt_core::pg::audit::Rule;
use mt_core::testing::isolation::check_tables;
use mt_core::word::Word as _;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{report, two_tenants};
use crate::model::World;

/// How damage shows to the tenants themselves.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A table shows or takes what it should not, or hides what it should not.
    Tables,
    /// A count by B finds something.
    Finds(&'static str),
    /// A statement of B's succeeds.
    Succeeds(&'static str),
    /// A statement of B's fails with this code.
    Fails(&'static str, &'static str),
    /// A count by the tables' owner finds something.
    OwnerFinds(&'static str),
}

impl Damage {
    async fn shows(self, world: &World, [a, b]: [TenantId; 2]) -> bool {
        match self {
            Self::Tables => !check_tables(&world.db, a, b).await.all().is_empty(),
            Self::Finds(sql) => count(world, "mt_app", b, sql).await.is_ok_and(|found| found > 0),
            Self::Succeeds(sql) => run(world, "mt_app", b, sql).await.is_ok(),
            Self::Fails(sql, code) => run(world, "mt_app", b, sql)
                .await
                .is_err_and(|error| error.as_database_error().unwrap().code().unwrap() == code),
            Self::OwnerFinds(sql) => {
                count(world, "mt_owner", b, sql).await.is_ok_and(|found| found > 0)
            }
        }
    }
}

fn opened(role: &str, tenant: TenantId, sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "begin; select set_config('role', '{role}', true), set_config('mt.tenant_id', '{tenant}', true); \
         {sql}"
    ))
}

async fn run(world: &World, role: &str, tenant: TenantId, sql: &str) -> Result<(), sqlx::Error> {
    let mut conn = world.db.admin().acquire().await?;
    let done = conn.execute(opened(role, tenant, sql)).await;
    conn.execute("rollback").await?;
    done.map(|_| ())
}

async fn count(world: &World, role: &str, tenant: TenantId, sql: &str) -> Result<i64, sqlx::Error> {
    let mut conn = world.db.admin().acquire().await?;
    conn.execute(opened(role, tenant, "")).await?;
    let found = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *conn).await;
    conn.execute("rollback").await?;
    found
}

/// What is there before, the tampering, the rule and object that the audit names, and the damage.
type Tampering = (&'static str, &'static str, Rule, &'static str, Damage);

const OF_A: &str = "select count(*) from public.notes where text = 'canary of a'";

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
async fn tampering_is_named_and_does_damage() {
    for (before, tampering, rule, object, damage) in TAMPERINGS {
        let world = World::new(1).await;
        let tenants = two_tenants(&world).await;
        world.db.admin().execute(before).await.unwrap();
        let sound = report(&world).await;
        assert!(!sound.names(rule, object), "before `{tampering}`: {sound}");
        if !matches!(damage, Damage::Tables) || before.is_empty() {
            assert!(!damage.shows(&world, tenants).await, "before `{tampering}`: {damage:?}");
        }
        world.db.admin().execute(tampering).await.unwrap();
        let report = report(&world).await;
        assert!(report.names(rule, object), "`{tampering}` is not {}: {report}", rule.as_str());
        assert!(damage.shows(&world, tenants).await, "`{tampering}` does no damage: {damage:?}");
    }
}
