//! All rows of a tenant at one moment.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Row as _};

use super::Table;
use crate::access::{AccessModel, AccessRequest, Permission};
use crate::id::TenantId;
use crate::pg::transaction::open_tx::{End, OpenTx};
use crate::pg::transaction::opening;
use crate::pg::{BeginError, PgError, System, SystemReason, Tenants};

/// The number of rows in a batch, and thus in memory.
const AT_A_TIME: u32 = 100;

/// A read-only transaction that sees one tenant as of its start.
///
/// It is repeatable read and runs as the role of tenants' transactions, so row-level security applies. It may take
/// minutes, during which Postgres keeps old row versions: limit the number of concurrent snapshots. Dropping it ends
/// it.
pub struct Snapshot {
    tx: OpenTx,
    tenant: TenantId,
}

/// The size of a table's rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measure {
    /// The number of rows.
    pub rows: u64,
    /// The length of the lines in bytes, each with its line feed.
    pub bytes: u64,
}

impl<M: AccessModel> Tenants<M> {
    /// Opens a snapshot of the requested tenant. As in every transaction, the permission is checked in it.
    ///
    /// # Errors
    ///
    /// [`BeginError`] when the check fails or the transaction cannot be opened.
    pub async fn snapshot<P: Permission<Model = M>>(
        &self,
        request: impl Into<AccessRequest<P>>,
    ) -> Result<Snapshot, BeginError> {
        let request = request.into();
        let (tenant, principal) = (request.tenant(), request.principal());
        let requester = self.authority.recent.requester(principal, tenant);
        let begin = opening::of_snapshot(tenant, principal).by(requester);
        let opened = self.authority.open(request, begin).await?;
        Ok(Snapshot { tx: opened.tx, tenant: opened.access.tenant() })
    }
}

impl System {
    /// Opens a snapshot of `tenant` for the system; `None` if there is no such tenant.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the transaction cannot be opened.
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
    /// Returns the tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Returns the name of the tenant, and when the snapshot was opened.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the query fails.
    pub async fn name_and_time(&mut self) -> Result<(String, DateTime<Utc>), PgError> {
        Ok(sqlx::query_as("select name, now() from mt.tenants where id = $1")
            .bind(self.tenant.as_uuid())
            .fetch_one(self.tx.conn())
            .await?)
    }

    /// Returns the exact size of the lines that [`next_lines`](Self::next_lines) will return, without fetching them.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the query fails.
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

    /// Starts to read a table as lines of JSON without line feeds, in the order of its key.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the query fails.
    pub async fn open_lines(&mut self, table: &Table) -> Result<(), PgError> {
        let sql = format!("close all; declare lines no scroll cursor for {}", self.query(table));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.tx.conn()).await?;
        Ok(())
    }

    /// Returns the next lines of the table that was opened last; none at its end.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the query fails.
    pub async fn next_lines(&mut self) -> Result<Vec<String>, PgError> {
        let sql = format!("fetch forward {AT_A_TIME} from lines");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.tx.conn()).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the connection fails.
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

/// Returns `name` as a quoted identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
