//! The audit of the catalogue: quiet on a sound database, and not on one that was tampered with.

mod notes;
mod publications;
mod shared_cluster;
mod snapshot;
mod tampering;

use mt_core::id::TenantId;
use mt_core::pg::audit::{Audit, Report, Rule};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{Role, World};

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

#[tokio::test]
async fn sound_database_has_no_findings() {
    let world = World::new(1).await;
    let report = report(&world).await;
    assert!(report.is_clean(), "{report}");
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
            ("mt_authority", tenant.to_string()),
        ] {
            conn.execute(AssertSqlSafe(format!(
                "begin; call mt.seal('{tenant}', '{owner}', ''); set local role {role}"
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
async fn every_missing_library_policy_is_reported() {
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
             insert into mt.roles (tenant_id, id, name, based_on, permissions) \
                 values ('{tenant}', '{owner}', 'r', 'viewer', '{{}}'); \
             insert into mt.magic_links (id, email, token_hash, expires_at) \
                 values ('{owner}', 'x@y', '', now()); \
             insert into mt.sign_in_networks (digest) values (sha256('n')); \
             insert into mt.identities (issuer, subject, id, principal_id) \
                 values ('i', 's', '{owner}', '{owner}'); \
             insert into mt.billing_customers (tenant_id, provider, customer_id) \
                 values ('{tenant}', 'p', 'c'); \
             insert into mt.checkout_sessions (tenant_id, provider, session_id) \
                 values ('{tenant}', 'p', 's'); \
             insert into mt.provider_calls \
                 (tenant_id, provider, operation, request, idempotency_key) \
                 values ('{tenant}', 'p', 'o', '', 'k'); \
             insert into mt.former_customers (provider, account, customer_id, tenant_deleted) \
                 values ('p', '', 'f', false); \
             insert into mt.subscriptions values ('p', '', false, 's', 'c', 'active', false, '{{}}'); \
             insert into mt.invoices values ('p', '', false, 'i', 'c', '{{}}'); \
             insert into mt.webhook_events (id, provider, event_id, type, body) \
                 values ('{owner}', 'p', 'e', 'k', ''); \
             insert into mt.webhook_attempts (event, attempt, outcome) \
                 values ('{owner}', 1, 'processed'); \
             insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload) \
                 values ('{tenant}', '{owner}', 't', 'k', '{{}}'); \
             insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
                 values ('{tenant}', '{owner}', 'k', '{{}}', 'service', 's'); \
             insert into mt.idempotency_keys values \
                 ('{tenant}', '{owner}', sha256('r'), sha256('b'), 201, '[]', ''); \
             insert into mt.principal_idempotency_keys values \
                 ('{owner}', sha256('r'), sha256('b'), 201, '[]', ''); \
             insert into mt.domains (tenant_id, id, domain) values ('{tenant}', '{owner}', 'a.test'); \
             insert into mt.job_schedules values ('s', now(), null, true); \
             insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
                 values ('{tenant}', '{owner}', 'a', 'viewer', '{owner}'); \
             insert into mt.api_keys \
                 (tenant_id, id, service_account_id, name, digest, hint, series, created_by) \
                 values ('{tenant}', '{owner}', '{owner}', 'k', sha256('k'), 'k', '{owner}', '{owner}'); \
             insert into mt.sweeps (name, started_at, holder, leased_until) \
                 values ('s', now(), '{owner}', now()); \
             insert into mt.audit_log (tenant_id, id, actor_kind, actor_name, action, target_kind) \
                 values ('{tenant}', '{owner}', 'system', 's', 'a', 't')"
        )))
        .await
        .unwrap();
    let sound = visible(&world, tenant, owner).await;
    let policies: Vec<(String, String, String)> = sqlx::query_as(
        "select polrelid::regclass::text, polname::text, \
             format('create policy %I on %s for %s to %s using (%s)%s', polname, polrelid::regclass, \
                 case polcmd when 'r' then 'select' else 'all' end, \
                 (select rolname from pg_roles where oid = polroles[1]), \
                 pg_get_expr(polqual, polrelid), \
                 ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')') \
         from pg_policy where polrelid in (select oid from pg_class \
             where relnamespace = 'mt'::regnamespace) and polcmd not in ('a', 'd', 'w') order by 1, 2",
    )
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    // Three more are for inserting alone, one for updating and one for deleting: `ledger::outbox`, `audit_log`, `jobs` and
    // `retention` try those.
    assert_eq!(policies.len(), 50);
    for (table, policy, again) in policies {
        let sql = format!("drop policy {policy} on {table}");
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
        let report = report(&world).await;
        assert!(report.names(Rule::PolicyMissing, &table), "{policy} on {table}: {report}");
        assert_ne!(visible(&world, tenant, owner).await, sound, "{policy} on {table}");
        world.db.admin().execute(AssertSqlSafe(again)).await.unwrap();
    }
    assert_eq!(visible(&world, tenant, owner).await, sound);
    let report = report(&world).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn login_with_inherit_sees_every_tenant_and_is_reported() {
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
async fn additional_transaction_roles_are_audited_when_named() {
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
async fn exceptions_cover_the_named_finding_and_unused_ones_are_reported() {
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
            (Rule::ExceptionUnused, "public.notes", None),
            (Rule::PrivilegePastPolicies, "public.notes", Some("references to mt_app")),
        ]
    );
}
