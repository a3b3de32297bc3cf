//! Deletion of an org removes every row with its id.

use std::io;
use std::sync::{Arc, Mutex};

use mt_core::id::TenantId;
use mt_core::testing::isolation::fingerprint;
use reference_server::inventory::inventory;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tracing_subscriber::fmt::MakeWriter;

use super::fixture::{OrgFixture, orgs_json, orgs_refused};
use crate::support::{Server, problem};

/// How many rows of every table of the database hold `id`, in whatever column; those that have some.
async fn rows_with(server: &Server, id: &str) -> Vec<(String, i64)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c \
         join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema$)' order by 1",
    )
    .fetch_all(server.db.admin())
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("select count(*) from {table} t where t::text like '%{id}%'");
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(server.db.admin()).await.unwrap();
        if rows > 0 {
            found.push((table, rows));
        }
    }
    found.sort();
    found
}

/// Puts into the org what the fixture does not.
async fn fill(server: &Server, OrgFixture { id, owner, .. }: &OrgFixture) {
    let user = &owner.id;
    server
        .sql(&format!(
            "insert into mt.idempotency_keys \
                 (tenant_id, principal_id, request_digest, body_digest, status, headers, body) \
                 select '{id}', '{user}', d, d, 201, '[]', '' from sha256('{id}') d"
        ))
        .await;
    server
        .sql(&format!(
            "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload) \
                 values ('{id}', gen_random_uuid(), 'payment_failed', 'k', '{{}}')"
        ))
        .await;
    server
        .sql(&format!(
            "insert into mt.checkout_sessions (tenant_id, provider, session_id) \
                 values ('{id}', 'stripe', 'cs_{id}')"
        ))
        .await;
    server
        .sql(&format!(
            "insert into mt.provider_calls \
                 (tenant_id, provider, operation, request, idempotency_key) \
                 values ('{id}', 'stripe', 'portal', '', 'mt-portal')"
        ))
        .await;
    server
        .sql(&format!(
            "insert into mt.domains (tenant_id, id, domain) \
                 values ('{id}', gen_random_uuid(), 'tasks.acme.test')"
        ))
        .await;
    server
        .sql(&format!(
            "with account as (insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
                 values ('{id}', gen_random_uuid(), 'agent', 'member', '{user}') returning id) \
             insert into mt.api_keys \
                 (tenant_id, id, service_account_id, name, digest, hint, series, created_by) \
                 select '{id}', id, id, 'key', sha256('{id}'), 'mt_abcd', id, '{user}' from account"
        ))
        .await;
    server
        .sql(&format!(
            "insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
                 values ('{id}', gen_random_uuid(), 'k', '{{}}', 'service', 's')"
        ))
        .await;
}

/// The tables of tenants, as the catalogue has them.
async fn tables_of_tenants(server: &Server) -> Vec<String> {
    let database = server.db.connect(1).await.unwrap();
    let contents = inventory().take(&database).await.unwrap();
    let mut names: Vec<_> = contents.of_tenants().map(|table| table.name().to_owned()).collect();
    names.push("mt.tenants".to_owned());
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_removes_everything_of_one_org_and_nothing_of_another() {
    let server = Server::start().await;
    for by_operator in [false, true] {
        let (gone, stays) =
            (OrgFixture::new(&server, "a").await, OrgFixture::new(&server, "b").await);
        fill(&server, &gone).await;
        let other = TenantId::parse(&stays.id).unwrap();
        let before = fingerprint(&server.db, other).await;
        // The control: every table of tenants has rows, and the search finds them.
        let found = rows_with(&server, &gone.id).await;
        let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, tables_of_tenants(&server).await);

        if by_operator {
            let told = orgs_json(&server, &["delete", &gone.id, "--yes"]).await;
            let mut rows = told["deleted"].as_object().unwrap().clone();
            rows.insert("mt.tenants".to_owned(), json!(1));
            let expected = found.iter().map(|(name, rows)| (name.clone(), json!(rows)));
            assert_eq!(Value::Object(rows), Value::Object(expected.collect()));
        } else {
            assert_eq!(server.delete(&gone.org, &gone.owner).await.status, 204);
        }
        assert_eq!(rows_with(&server, &gone.id).await, [], "{by_operator}");
        assert_eq!(fingerprint(&server.db, other).await, before);
        assert_eq!(server.get(&gone.org, &gone.owner).await.outcome(), problem(404, "not-found"));
        assert_eq!(server.get(&stays.org, &stays.owner).await.status, 200);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_needs_confirmation_and_an_existing_org() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let output = super::fixture::orgs(&server, &["delete", &fixture.id]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    for command in ["delete --yes", "export -o -"] {
        let unknown = TenantId::generate().to_string();
        let mut arguments = vec![command.split(' ').next().unwrap(), unknown.as_str()];
        arguments.extend(command.split(' ').skip(1));
        let refused = orgs_refused(&server, &arguments).await;
        assert!(refused.contains("there is no org"), "{refused}");
    }
    assert_eq!(server.get(&fixture.org, &fixture.owner).await.status, 200);
    server.stop().await;
}

/// The controls: each of these tables would be forgotten, and each is named before anything happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlisted_table_stops_export_import_and_deletion() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let archive = fixture.export(&server, folder.path()).await;
    let archive = archive.to_str().unwrap();
    for (make, says) in [
        (
            "create table app.forgotten (tenant_id uuid not null, id uuid not null, \
                 primary key (tenant_id, id)); \
             alter table app.forgotten owner to mt_owner; select mt.isolate('app.forgotten')",
            "`app.forgotten` is not classified",
        ),
        ("create table app.forgotten (id uuid primary key)", "`app.forgotten` is not classified"),
        (
            "create table public.forgotten (tenant_id uuid not null)",
            "`public.forgotten` is not classified",
        ),
        (
            "create table public.forgotten (org uuid references mt.tenants (id) on delete set null)",
            "`public.forgotten` is not classified",
        ),
        (
            "alter table app.tasks add column secret inet",
            "`app.tasks.secret` is `inet`, a type that exports do not support",
        ),
        (
            "alter table app.tasks drop constraint tasks_tenant_id_fkey",
            "`app.tasks` would outlive its tenant",
        ),
        ("alter table app.tasks rename to chores", "`app.tasks` is classified but does not exist"),
    ] {
        let whole = format!("begin; {make}; commit");
        sqlx::raw_sql(AssertSqlSafe(whole)).execute(server.db.admin()).await.unwrap();
        for arguments in [
            &["delete", &fixture.id, "--yes"][..],
            &["export", &fixture.id, "-o", "-"],
            &["import", archive],
        ] {
            let refused = orgs_refused(&server, arguments).await;
            assert!(refused.contains(says), "{make}: {refused}");
        }
        for undo in [
            "drop table if exists app.forgotten, public.forgotten",
            "alter table if exists app.chores rename to tasks",
            "alter table app.tasks drop column if exists secret",
            "alter table app.tasks drop constraint if exists tasks_tenant_id_fkey, \
                 add constraint tasks_tenant_id_fkey foreign key (tenant_id) \
                 references mt.tenants (id) on delete cascade",
        ] {
            server.sql(undo).await;
        }
    }
    // Over HTTP too; a server that has not exported yet has not looked yet.
    let fresh = Server::start_on(Arc::clone(&server.db), &[]).await;
    server.sql("create table app.forgotten (id uuid primary key)").await;
    let refused = fresh.post(&format!("{}/export", fixture.org), &fixture.owner, Value::Null).await;
    assert_eq!(refused.outcome(), problem(500, "internal"));
    server.sql("drop table app.forgotten").await;
    orgs_json(&server, &["delete", &fixture.id, "--yes"]).await;
    fresh.stop().await;
    server.stop().await;
}

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// On one thread, whose log it is.
#[tokio::test]
async fn log_names_the_operator_who_deleted_an_org() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let deleted = server.delete(&org, &owner).await;
    let request = deleted.headers["x-request-id"].to_str().unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("audit: tenant.deleted")).expect(&log);
    for part in [org.rsplit('/').next().unwrap(), &owner.id, request] {
        assert!(line.contains(part), "{line}");
    }
    assert!(
        !log.contains("audit: tenant.created"),
        "what can be read in its own log is not said: {log}"
    );
    server.stop().await;
}
