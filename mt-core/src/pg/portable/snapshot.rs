//! All rows of a tenant, as they are at one moment.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::open_tx::{End, OpenTx};
use super::super::{BeginError, PgError, SystemPool, SystemReason, TenantPool, opening};
use super::Table;
use crate::access::{AccessModel, Grant, Permission};
use crate::id::TenantId;

/// Rows that are fetched at a time: all that is ever held in memory.
const AT_A_TIME: u32 = 100;

/// A transaction that sees one tenant as it was when it began, and changes nothing.
///
/// It is repeatable read, as the role of tenants' transactions, so row-level security is in force. It may
/// take minutes, during which Postgres keeps what it sees: do not let many be open at once. Dropping it ends
/// it.
pub struct Snapshot {
    tx: OpenTx,
    tenant: TenantId,
}

/// How much there is of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measure {
    /// How many rows.
    pub rows: u64,
    /// How long they are as lines, each with its line feed.
    pub bytes: u64,
}

impl<M: AccessModel> TenantPool<M> {
    /// Opens a snapshot of the grant's tenant. As everywhere, what is granted is decided again in it.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn snapshot<P: Permission<Model = M>>(
        &self,
        grant: Grant<P>,
    ) -> Result<Snapshot, BeginError> {
        let begin = opening::of_snapshot(grant.tenant(), grant.principal());
        let (tx, access, _) = self.open_by(grant, begin).await?;
        Ok(Snapshot { tx, tenant: access.tenant() })
    }
}

impl SystemPool {
    /// Opens a snapshot of `tenant` for a reason, and not for one of its members; `None` if there is no such
    /// tenant.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn snapshot(
        &self,
        reason: SystemReason,
        tenant: TenantId,
    ) -> Result<Option<Snapshot>, PgError> {
        let begin = opening::of_system_snapshot(tenant);
        let (tx, rows) = self.open_with(reason, begin).await?;
        let found: bool = rows.last().map_or(Ok(false), |row| row.try_get("found"))?;
        if !found {
            tx.end(End::Rollback).await?;
            return Ok(None);
        }
        Ok(Some(Snapshot { tx, tenant }))
    }
}

impl Snapshot {
    /// Whose rows they are.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What its members call the tenant, and when the snapshot was opened.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn name_and_time(&mut self) -> Result<(String, DateTime<Utc>), PgError> {
        Ok(sqlx::query_as("select name, now() from mt.tenants where id = $1")
            .bind(self.tenant.as_uuid())
            .fetch_one(self.tx.conn())
            .await?)
    }

    /// Counts what [`next_lines`](Self::next_lines) will give, without reading it out: to the byte, since nothing
    /// changes in between.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn measure(&mut self, table: &Table) -> Result<Measure, PgError> {
        let sql = format!(
            "select count(*) as rows, coalesce(sum(octet_length(line) + 1), 0)::bigint as bytes \
             from ({}) lines",
            self.query(table)
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(self.tx.conn()).await?;
        let number = |name| {
            row.try_get::<i64, _>(name).map(|number| u64::try_from(number).unwrap_or_default())
        };
        Ok(Measure { rows: number("rows")?, bytes: number("bytes")? })
    }

    /// Begins to read a table out, as lines of JSON without line feeds, in the order of its key.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn open_lines(&mut self, table: &Table) -> Result<(), PgError> {
        let sql = format!("close all; declare lines no scroll cursor for {}", self.query(table));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.tx.conn()).await?;
        Ok(())
    }

    /// Some more of the lines of the table that was opened last; none at its end.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn next_lines(&mut self) -> Result<Vec<String>, PgError> {
        let sql = format!("fetch forward {AT_A_TIME} from lines");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.tx.conn()).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn close(self) -> Result<(), PgError> {
        self.tx.end(End::Rollback).await
    }

    /// Names come from the catalogue and are quoted; the tenant is a UUID.
    fn query(&self, table: &Table) -> String {
        let tenant = self.tenant;
        let from = match table.name() {
            "mt.tenants" => format!("mt.tenants t where t.id = '{tenant}'"),
            "mt.users" => format!(
                "mt.users t join mt.memberships m on m.principal_id = t.id \
                 where m.tenant_id = '{tenant}'"
            ),
            _ => format!("{} t where t.tenant_id = '{tenant}'", table.quoted),
        };
        let qualified = |column: &str| format!("t.{}", quoted(column));
        let columns: Vec<_> = table.columns().map(qualified).collect();
        let key: Vec<_> = table.key.iter().map(|column| qualified(column)).collect();
        format!(
            "select row_to_json(r)::text as line from \
             (select {} from {from} order by {}) r",
            columns.join(", "),
            key.join(", ")
        )
    }
}

/// `name` as a quoted identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
