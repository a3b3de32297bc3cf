//! Digests of the rows of tenants.

use sqlx::{AssertSqlSafe, PgPool};

use crate::id::TenantId;
use crate::testing::TestDatabase;

/// Tables with a `tenant_id`, quoted, with their schema. `mt.tenants` is keyed by `id` and queried separately.
const TABLES: &str = "\
    select format('%I.%I', n.nspname, c.relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped \
    where c.relkind in ('r', 'p') and not c.relispartition \
        and n.nspname !~ '^(pg_|information_schema$)' \
    order by 1";

/// Returns a digest of all rows of `tenant`, in every table with a `tenant_id` and in `mt.tenants`. It changes
/// whenever one of the rows does.
///
/// # Panics
///
/// When a query fails.
pub async fn fingerprint(db: &TestDatabase, tenant: TenantId) -> String {
    StoredRows::new(db).await.fingerprint(&[tenant]).await
}

/// Queries over the rows of tenants in all tables.
#[derive(Debug)]
pub(super) struct StoredRows<'d> {
    admin: &'d PgPool,
    tables: Vec<String>,
}

impl<'d> StoredRows<'d> {
    pub(super) async fn new(db: &'d TestDatabase) -> Self {
        Self { admin: db.admin(), tables: tables(db.admin()).await }
    }

    /// Returns a digest of all rows of `tenants`.
    pub(super) async fn fingerprint(&self, tenants: &[TenantId]) -> String {
        let ids: Vec<String> = tenants.iter().map(|tenant| format!("'{tenant}'")).collect();
        let rows = self.rows(&format!("in ({})", ids.join(", ")));
        let sql = format!(
            "select coalesce(md5(string_agg(of || line, E'\\n' order by of, line)), '') \
             from ({rows}) all_rows"
        );
        let digest = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.admin).await;
        digest.expect("tables can be read")
    }

    /// Returns the tables in which rows of other tenants hold `text`, literally or in hex.
    pub(super) async fn copies(&self, tenant: TenantId, text: &str) -> Vec<String> {
        let rows = self.rows(&format!("is distinct from '{tenant}'"));
        let sql = format!(
            "select distinct of from ({rows}) all_rows \
             where line ilike '%{text}%' or line ilike '%{}%' order by 1",
            hex::encode(text)
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(self.admin)
            .await
            .expect("tables can be read")
    }

    /// Returns a query of all rows whose tenant meets `condition`.
    fn rows(&self, condition: &str) -> String {
        let mut parts = vec![format!(
            "select 'mt.tenants' as of, t::text as line from mt.tenants t where id {condition}"
        )];
        for table in &self.tables {
            parts.push(format!(
                "select '{table}', t::text from {table} t where tenant_id {condition}"
            ));
        }
        parts.join(" union all ")
    }
}

pub(super) async fn tables(admin: &PgPool) -> Vec<String> {
    sqlx::query_scalar(TABLES).fetch_all(admin).await.expect("the catalogue can be read")
}
