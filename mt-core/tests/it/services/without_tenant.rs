//! Queries on isolated tables where no tenant is set. Each test is a way in which a job under row-level security did nothing
//! and reported success; the control is the same with `mt.without_tenant = 'empty'`.

use mt_core::id::TenantId;
use mt_core::pg::{Database, PgError, query_scalar};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};

use super::{Archivist, tenants};
use crate::support::{NotesWrite, World, write_note};

/// How a hand-written job becomes the role of tenants, without a tenant.
const AS_APP: [&str; 2] = ["begin", "set local role mt_app"];

/// A world with a note, and the connection of a job.
async fn world_and_job() -> (World, PgPool, TenantId) {
    let world = World::new(2).await;
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    let mut tx = world.tenants.begin_as::<Archivist, NotesWrite>(tenant).await.unwrap();
    write_note(&mut tx, "a note").await;
    tx.commit().await.unwrap();
    let connect = world.db.admin().connect_options().as_ref().clone();
    let job = PgPoolOptions::new().max_connections(1).connect_with(connect).await.unwrap();
    (world, job, tenant)
}

/// The statement that seals the current transaction for `tenant`.
fn enter(tenant: TenantId) -> String {
    format!("call mt.seal('{tenant}', '', '')")
}

/// Runs a job and returns how many rows it has touched, or the error's code.
async fn run(job: &PgPool, before: &[&str], statement: &'static str) -> Result<u64, String> {
    let mut conn = job.acquire().await.unwrap();
    // Each in a message of its own: those of one message are one transaction.
    for sql in before {
        conn.execute(AssertSqlSafe((*sql).to_owned())).await.unwrap();
    }
    let done = conn.execute(statement).await;
    conn.execute("rollback; reset role; reset mt.without_tenant").await.unwrap();
    let code = |error: sqlx::Error| error.as_database_error().unwrap().code().unwrap().into_owned();
    done.map(|done| done.rows_affected()).map_err(code)
}

/// A job fails without a tenant. With the setting it does nothing and reports success.
async fn fails_loudly(job: &PgPool, before: &[&str], statement: &'static str) {
    assert_eq!(run(job, before, statement).await, Err("MT002".to_owned()), "{statement}");
    let silent = [&["set mt.without_tenant = 'empty'"], before].concat();
    assert_eq!(run(job, &silent, statement).await, Ok(0), "the control: {statement}");
}

#[tokio::test]
async fn job_that_forgot_the_tenant_fails() {
    let (_world, job, _) = world_and_job().await;
    fails_loudly(&job, &AS_APP, "update public.notes set text = 'sent'").await;
}

#[tokio::test]
async fn retention_that_forgot_the_tenant_fails() {
    let (_world, job, _) = world_and_job().await;
    fails_loudly(&job, &AS_APP, "delete from public.notes").await;
}

#[tokio::test]
async fn tenant_that_was_set_outside_of_a_transaction_is_gone_at_the_next_statement() {
    let (_world, job, tenant) = world_and_job().await;
    let (enter, [begin, become_app]) = (enter(tenant), AS_APP);
    let update = "update public.notes set text = 'sent'";
    fails_loudly(&job, &[&enter, begin, become_app], update).await;
    // In one transaction it is set.
    assert_eq!(run(&job, &[begin, &enter, become_app], update).await, Ok(1));
}

#[tokio::test]
async fn connection_that_was_used_before_has_no_tenant() {
    let (_world, job, tenant) = world_and_job().await;
    let (enter, [begin, become_app]) = (enter(tenant), AS_APP);
    // A setting is '' and not null on a connection that had it.
    let before = [begin, &enter, "commit", begin, become_app];
    fails_loudly(&job, &before, "delete from public.notes where text = 'a note'").await;
}

#[tokio::test]
async fn report_in_a_transaction_of_a_principal_fails() {
    let (world, _job, _) = world_and_job().await;
    let owner = world.user("owner").await;
    let count = || query_scalar::<i64>("select count(*) from public.notes");
    let mut tx = world.database.principals().begin(owner).await.unwrap();
    let error = count().fetch_one(tx.conn()).await.unwrap_err();
    let PgError::Database(error) = error else { panic!("{error:?}") };
    let code = error.as_database_error().and_then(DatabaseError::code);
    assert_eq!(code.as_deref(), Some("MT002"), "{error:?}");
    drop(tx);
    let options = world.db.options(1).empty_without_tenant();
    let silent = Database::connect(options).await.unwrap();
    let mut tx = silent.principals().begin(owner).await.unwrap();
    assert_eq!(count().fetch_one(tx.conn()).await.unwrap(), 0, "the control");
}

#[tokio::test]
async fn table_that_was_isolated_before_fails_once_it_is_isolated_again() {
    let (world, job, _) = world_and_job().await;
    let old = "(tenant_id = (select mt.sealed_tenant_id()))";
    let set = format!("alter policy mt_isolation on public.notes using {old} with check {old}");
    world.db.admin().execute(AssertSqlSafe(set)).await.unwrap();
    let statement = "delete from public.notes";
    assert_eq!(run(&job, &AS_APP, statement).await, Ok(0), "the policy of before is silent");
    world.db.admin().execute("select mt.isolate('public.notes')").await.unwrap();
    fails_loudly(&job, &AS_APP, statement).await;
}
