//! Switches row-level security off and on.

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};

use super::findings::Findings;
use super::tables::seen;
use crate::testing::TestDatabase;

/// The tables with row-level security, and whether it is forced on their owner.
const PROTECTED: &str = "\
    select format('%I.%I', n.nspname, c.relname), c.relforcerowsecurity \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') and c.relrowsecurity order by 1";

/// The tables whose row-level security is off until [`end`](Self::end).
#[derive(Debug)]
pub(super) struct PoliciesOff<'d> {
    admin: &'d PgPool,
    tables: Vec<(String, bool)>,
}

impl<'d> PoliciesOff<'d> {
    /// Switches it off, and reports tables where a transaction without tenant does not see every row.
    pub(super) async fn begin(db: &'d TestDatabase, findings: &mut Findings) -> Self {
        let admin = db.admin();
        let tables = sqlx::query_as(PROTECTED).fetch_all(admin).await;
        let off = Self { admin, tables: tables.expect("the catalogue can be read") };
        off.alter("disable", "no force").await;
        off.show(findings).await;
        off
    }

    /// Switches it on again.
    pub(super) async fn end(self) {
        self.alter("enable", "force").await;
    }

    async fn alter(&self, switch: &str, force: &str) {
        for (table, is_forced) in &self.tables {
            let forced =
                if *is_forced { format!(", {force} row level security") } else { String::new() };
            let sql = format!("alter table {table} {switch} row level security{forced}");
            self.admin.execute(AssertSqlSafe(sql)).await.expect("a superuser may alter any table");
        }
    }

    async fn show(&self, findings: &mut Findings) {
        // The superuser may seal a transaction, which then runs as `mt_app`.
        let admin = self.admin.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_with(admin).await;
        let mut conn =
            pool.expect("a superuser can connect").acquire().await.expect("a connection");
        let mut shown = 0;
        for (table, _) in self.tables.iter().filter(|(table, _)| !table.starts_with("mt.")) {
            let count = format!("select count(*) from {table}");
            let there: i64 = sqlx::query_scalar(AssertSqlSafe(count.clone()))
                .fetch_one(self.admin)
                .await
                .expect("tables can be read");
            match seen(&mut conn, "", &count).await {
                Ok(seen) if seen == there => shown += usize::from(there > 0),
                Ok(seen) => findings.add(format!(
                    "{table}: row-level security is not off: {seen} of {there} rows are visible"
                )),
                Err(error) => findings.add(format!("{table}: mt_app cannot read it: {error}")),
            }
        }
        if shown == 0 {
            findings.add(
                "no table with row-level security has rows, so switching it off proves nothing"
                    .to_owned(),
            );
        }
    }
}
