//! What a tenant has stored, as one text.

use sqlx::{AssertSqlSafe, PgPool};

use crate::id::TenantId;
use crate::testing::TestDatabase;

/// Tables that are keyed by tenant, quoted and named with their schema. `mt.tenants` is by its `id`.
const TABLES: &str = "\
    select format('%I.%I', n.nspname, c.relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped \
    where c.relkind in ('r', 'p') and not c.relispartition \
        and n.nspname !~ '^(pg_|information_schema$)' \
    order by 1";

/// A digest of every row that `tenant` has, in every table with a `tenant_id`, the library's own
/// included, and of the tenant itself. It changes whenever one of them does.
///
/// # Panics
///
/// When the database cannot be asked.
pub async fn fingerprint(db: &TestDatabase, tenant: TenantId) -> String {
    let admin = db.admin();
    let mut parts = vec![format!(
        "select 'mt.tenants' as of, t::text as line from mt.tenants t where id = '{tenant}'"
    )];
    for table in tables(admin).await {
        parts
            .push(format!("select '{table}', t::text from {table} t where tenant_id = '{tenant}'"));
    }
    let sql = format!(
        "select coalesce(md5(string_agg(of || line, E'\\n' order by of, line)), '') from ({}) all_rows",
        parts.join(" union all ")
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(admin).await.expect("tables can be read")
}

pub(super) async fn tables(admin: &PgPool) -> Vec<String> {
    sqlx::query_scalar(TABLES).fetch_all(admin).await.expect("the catalogue can be read")
}
