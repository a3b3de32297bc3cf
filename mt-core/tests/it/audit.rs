//! The audit of the catalogue: quiet on a sound database, and not on one that was tampered with.
//! Beside it, what the tampering does to two living tenants.

use mt_core::id::TenantId;
use mt_core::pg::audit::{Audit, Report, Rule};
use mt_core::testing::isolation::check_tables;
use mt_core::word::Word as _;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::model::{Role, World};

fn audit() -> Audit {
    Audit::library().schema("public")
}

async fn report(world: &World) -> Report {
    audit().run(&world.database).await.unwrap()
}

/// Two tenants with a note each.
async fn two_tenants(world: &World) -> [TenantId; 2] {
    let mut made = Vec::new();
    for name in ["a", "b"] {
        let tenant = world.tenant(world.user(name).await).await;
        sqlx::query("insert into public.notes (tenant_id, text) values ($1, $2)")
            .bind(tenant.as_uuid())
            .bind(format!("canary of {name}"))
            .execute(world.db.admin())
            .await
            .unwrap();
        made.push(tenant);
    }
    made.try_into().unwrap()
}

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

#[tokio::test]
async fn a_sound_database_has_no_findings() {
    let world = World::new(1).await;
    let report = report(&world).await;
    assert!(report.is_clean(), "{report}");
}

/// What is there before, the tampering, the rule and object that the audit names, and the damage.
type Tampering = (&'static str, &'static str, Rule, &'static str, Damage);

const OF_A: &str = "select count(*) from public.notes where text = 'canary of a'";

const TAMPERINGS: [Tampering; 20] = [
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

/// The rows of each of the library's tables that each role sees, as counts.
async fn visible(world: &World, tenant: TenantId, owner: uuid::Uuid) -> Vec<(String, Option<i64>)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select 'mt.' || relname from pg_class where relnamespace = 'mt'::regnamespace \
             and relkind = 'r' and relname <> 'schema_migrations' order by 1",
    )
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    let mut seen = Vec::new();
    let mut conn = world.db.admin().acquire().await.unwrap();
    for table in tables {
        for (role, tenant) in [
            ("mt_system", String::new()),
            ("mt_app", tenant.to_string()),
            ("mt_app", String::new()),
        ] {
            conn.execute(AssertSqlSafe(format!(
                "begin; select set_config('role', '{role}', true), \
                     set_config('mt.tenant_id', '{tenant}', true), \
                     set_config('mt.principal_id', '{owner}', true)"
            )))
            .await
            .unwrap();
            // By one column: the application's role may not read all of them.
            let sql = format!("select count(*) from {table}");
            let count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await.ok();
            conn.execute("rollback").await.unwrap();
            seen.push((format!("{table} {role} {tenant}"), count));
        }
    }
    seen
}

#[tokio::test]
async fn none_of_the_librarys_policies_can_go_unnoticed() {
    let world = World::new(1).await;
    let [tenant, _] = two_tenants(&world).await;
    let fellow = world.user("fellow").await;
    world.join(tenant, fellow, Role::Viewer).await;
    let owner: uuid::Uuid = sqlx::query_scalar("select id from mt.users where email like 'a@%'")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    world
        .db
        .admin()
        .execute(AssertSqlSafe(format!(
            "insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at) \
                 values ('{tenant}', '{owner}', 'x@y', 'viewer', '', '{owner}', now()); \
             insert into mt.magic_links (id, email, token_hash, expires_at) \
                 values ('{owner}', 'x@y', '', now()); \
             insert into mt.billing_customers (tenant_id, provider, customer_id) \
                 values ('{tenant}', 'p', 'c'); \
             insert into mt.subscriptions values ('p', '', false, 's', 'c', 'active', false, '{{}}'); \
             insert into mt.invoices values ('p', '', false, 'i', 'c', 'paid', '{{}}'); \
             insert into mt.webhook_events (id, provider, event_id, type, body) \
                 values ('{owner}', 'p', 'e', 'k', '')"
        )))
        .await
        .unwrap();
    let sound = visible(&world, tenant, owner).await;
    let policies: Vec<(String, String, String)> = sqlx::query_as(
        "select polrelid::regclass::text, polname::text, \
             format('create policy %I on %s for %s to %s using (%s)', polname, polrelid::regclass, \
                 case polcmd when 'r' then 'select' else 'all' end, \
                 (select rolname from pg_roles where oid = polroles[1]), \
                 pg_get_expr(polqual, polrelid)) \
         from pg_policy where polrelid in (select oid from pg_class \
             where relnamespace = 'mt'::regnamespace) order by 1, 2",
    )
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    assert_eq!(policies.len(), 17);
    for (table, policy, again) in policies {
        let sql = format!("drop policy {policy} on {table}");
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
        let report = report(&world).await;
        assert!(report.names(Rule::PolicyMissing, &table), "{policy} on {table}: {report}");
        assert_ne!(visible(&world, tenant, owner).await, sound, "{policy} on {table}");
        world.db.admin().execute(AssertSqlSafe(again)).await.unwrap();
    }
    assert_eq!(visible(&world, tenant, owner).await, sound);
    assert!(report(&world).await.is_clean());
}

#[tokio::test]
async fn a_login_that_inherits_sees_every_tenant_and_is_named() {
    let world = World::new(1).await;
    two_tenants(&world).await;
    let login: String = world.db.login().get_username().to_owned();
    let bare = sqlx::postgres::PgPoolOptions::new().connect_with(world.db.login()).await.unwrap();
    let seen = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from mt.tenants").fetch_one(&bare).await
    };
    assert!(seen().await.is_err() && report(&world).await.is_clean());
    let sql = format!("alter role {login} inherit");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    assert_eq!(seen().await.unwrap(), 2);
    let report = report(&world).await;
    assert!(report.names(Rule::LoginInherits, &login), "{report}");
}

#[tokio::test]
async fn other_roles_of_transactions_are_looked_at_when_told_of() {
    let world = World::new(1).await;
    let role = format!("{}_extra", world.db.login().get_username());
    let sql = format!("create role {role} createrole bypassrls");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let with = audit().role(&role).run(&world.database).await;
    let sql = format!("drop role {role}");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let with = with.unwrap();
    assert!(with.names(Rule::RoleSkipsPolicies, &role), "{with}");
    assert!(with.names(Rule::RoleMakesRoles, &role), "{with}");
}

#[tokio::test]
async fn exceptions_cover_what_they_name_and_are_found_when_they_cover_nothing() {
    let world = World::new(1).await;
    world
        .db
        .admin()
        .execute(
            "create table public.countries (name text); grant select on public.countries to mt_app; \
             grant truncate, references on public.notes to mt_app",
        )
        .await
        .unwrap();
    let report = audit()
        .except(Rule::TenantMissing, "public.countries", "the same for everybody")
        .except_one(Rule::PrivilegePastPolicies, "public.notes", "truncate to mt_app", "a test")
        .except(Rule::IndexMissing, "public.notes", "nothing of the kind")
        .run(&world.database)
        .await
        .unwrap();
    let found: Vec<_> =
        report.findings.iter().map(|f| (f.rule, f.object.as_str(), f.detail.as_deref())).collect();
    assert_eq!(
        found,
        [
            (Rule::PrivilegePastPolicies, "public.notes", Some("references to mt_app")),
            (Rule::ExceptionUnused, "public.notes", None),
        ]
    );
}
