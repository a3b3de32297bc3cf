//! Checks row-level security of the tables, without the application.

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::findings::Findings;
use super::fingerprint::tables;
use crate::id::TenantId;
use crate::testing::TestDatabase;

/// The `SQLSTATE` of a query on an isolated table where no tenant is set.
const NO_TENANT: &str = "MT002";

/// Checks every table with a `tenant_id` outside of schema `mt`: reads rows of `a` as `mt_app` in a transaction
/// without tenant, of an unknown tenant and of `b`, and tries to change and insert rows of `a`, also on a reused
/// connection.
///
/// Both tenants need rows in each of these tables.
///
/// # Panics
///
/// When a query fails.
pub async fn check_tables(db: &TestDatabase, a: TenantId, b: TenantId) -> Findings {
    let mut findings = Findings::default();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(db.admin().connect_options().as_ref().clone())
        .await;
    let mut conn = pool.expect("the login can connect").acquire().await.expect("a connection");
    for table in tables(db.admin()).await.iter().filter(|table| !table.starts_with("mt.")) {
        let [of_a, of_b] = [count(db, table, a).await, count(db, table, b).await];
        if of_a == 0 || of_b == 0 {
            findings.add(format!(
                "{table}: both tenants need rows, or the check proves nothing; seed some"
            ));
            continue;
        }
        let other_rows = format!("select count(*) from {table} where tenant_id <> '{b}'");
        let all = format!("select count(*) from {table}");
        for (tenant_name, tenant, sql, expected) in [
            ("no tenant", String::new(), &all, 0),
            ("a tenant that does not exist", TenantId::generate().to_string(), &all, 0),
            ("B", b.to_string(), &other_rows, 0),
            ("B", b.to_string(), &all, of_b),
            ("no tenant, after B", String::new(), &all, 0),
        ] {
            match seen(&mut conn, &tenant, sql).await {
                Ok(seen) if seen == expected => {}
                Ok(seen) => {
                    findings.add(format!("{table}: {tenant_name} sees {seen} of {expected}"));
                }
                Err(sqlx::Error::Database(error))
                    if tenant.is_empty() && error.code().as_deref() == Some(NO_TENANT) => {}
                Err(error) => findings.add(format!("{table}: {tenant_name} cannot query: {error}")),
            }
        }
        for sql in [
            format!(
                "with w as (update {table} set tenant_id = tenant_id where tenant_id = '{a}' returning 1) select count(*) from w"
            ),
            format!(
                "with w as (update {table} set tenant_id = '{a}' where tenant_id = '{b}' returning 1) select count(*) from w"
            ),
            format!(
                "with w as (delete from {table} where tenant_id = '{a}' returning 1) select count(*) from w"
            ),
        ] {
            // An error is as good as no rows.
            if let Ok(changed @ 1..) = seen(&mut conn, &b.to_string(), &sql).await {
                findings.add(format!("{table}: B changes {changed} rows of A: {sql}"));
            }
        }
        insert_row(db, &mut conn, table, a, b, &mut findings).await;
    }
    findings
}

/// Tries to insert a row of `a` in a transaction of `b`. The policy must refuse it.
async fn insert_row(
    db: &TestDatabase,
    conn: &mut PgConnection,
    table: &str,
    a: TenantId,
    b: TenantId,
    findings: &mut Findings,
) {
    let sql = format!("select to_jsonb(t)::text from {table} t where tenant_id = '{a}' limit 1");
    let row: String =
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db.admin()).await.expect("A has a row");
    let row = row.replace('\'', "''");
    let sql = format!(
        "with w as (insert into {table} \
             select * from jsonb_populate_record(null::{table}, '{row}') returning 1) \
         select count(*) from w"
    );
    match seen(conn, &b.to_string(), &sql).await {
        Ok(_) => findings.add(format!("{table}: B inserts a row of A")),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {}
        Err(error) => {
            findings.add(format!(
                "{table}: the insert of B fails, but not because of the policy: {error}"
            ));
        }
    }
}

async fn count(db: &TestDatabase, table: &str, tenant: TenantId) -> i64 {
    let sql = format!("select count(*) from {table} where tenant_id = '{tenant}'");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db.admin()).await.expect("tables can be read")
}

/// Returns the number that `sql` selects in a transaction of `tenant`, which is rolled back.
pub(super) async fn seen(
    conn: &mut PgConnection,
    tenant: &str,
    sql: &str,
) -> Result<i64, sqlx::Error> {
    let open = format!("begin; call mt.seal('{tenant}', '', ''); set local role mt_app");
    sqlx::raw_sql(AssertSqlSafe(open)).execute(&mut *conn).await?;
    let seen = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *conn).await;
    conn.execute("rollback").await?;
    seen
}
