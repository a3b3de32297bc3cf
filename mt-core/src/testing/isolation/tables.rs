//! The check from inside, past the application: what the role of its transactions sees.

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::findings::Findings;
use super::fingerprint::tables;
use crate::id::TenantId;
use crate::testing::TestDatabase;

/// Asks every table with a `tenant_id` outside of schema `mt` for rows of `a`, as `mt_app` would
/// in a transaction of nobody's, of a tenant that does not exist, and of `b`'s; and tries to change
/// and to plant some. On a connection that others have used, too.
///
/// Both tenants need rows in each of these tables.
///
/// # Panics
///
/// When the database cannot be asked.
pub async fn check_tables(db: &TestDatabase, a: TenantId, b: TenantId) -> Findings {
    let mut findings = Findings::default();
    let pool = PgPoolOptions::new().max_connections(1).connect_with(db.login()).await;
    let mut conn = pool.expect("the login can connect").acquire().await.expect("a connection");
    for table in tables(db.admin()).await.iter().filter(|table| !table.starts_with("mt.")) {
        let [of_a, of_b] = [count(db, table, a).await, count(db, table, b).await];
        if of_a == 0 || of_b == 0 {
            findings.add(format!("{table}: both tenants need rows, or nothing can be shown"));
            continue;
        }
        let foreign = format!("select count(*) from {table} where tenant_id <> '{b}'");
        let all = format!("select count(*) from {table}");
        for (as_whom, tenant, sql, expected) in [
            ("nobody", String::new(), &all, 0),
            ("a tenant that does not exist", TenantId::generate().to_string(), &all, 0),
            ("B", b.to_string(), &foreign, 0),
            ("B", b.to_string(), &all, of_b),
            ("nobody, after B", String::new(), &all, 0),
        ] {
            match seen(&mut conn, &tenant, sql).await {
                Ok(seen) if seen == expected => {}
                Ok(seen) => findings.add(format!("{table}: {as_whom} sees {seen} of {expected}")),
                Err(error) => findings.add(format!("{table}: {as_whom} cannot ask: {error}")),
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
            // Refusing is as good as finding nothing.
            if let Ok(changed @ 1..) = seen(&mut conn, &b.to_string(), &sql).await {
                findings.add(format!("{table}: B changes {changed} rows of A: {sql}"));
            }
        }
        plant(db, &mut conn, table, a, b, &mut findings).await;
    }
    findings
}

/// Tries to write one of `a`'s own rows as `b`. What counts is that the policy refuses it.
async fn plant(
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
        Ok(_) => findings.add(format!("{table}: B plants a row in A")),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {}
        Err(error) => {
            findings
                .add(format!("{table}: it is not the policy that keeps B from planting: {error}"));
        }
    }
}

async fn count(db: &TestDatabase, table: &str, tenant: TenantId) -> i64 {
    let sql = format!("select count(*) from {table} where tenant_id = '{tenant}'");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db.admin()).await.expect("tables can be read")
}

/// A number, in a transaction of `tenant`'s that is rolled back.
async fn seen(conn: &mut PgConnection, tenant: &str, sql: &str) -> Result<i64, sqlx::Error> {
    let open = format!(
        "begin; select set_config('role', 'mt_app', true), set_config('mt.tenant_id', '{tenant}', true)"
    );
    sqlx::raw_sql(AssertSqlSafe(open)).execute(&mut *conn).await?;
    let seen = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *conn).await;
    conn.execute("rollback").await?;
    seen
}
