//! Deletes a tenant completely.

use sqlx::AssertSqlSafe;

use super::Contents;
use crate::id::TenantId;
use crate::pg::audit_log::{Actor, TENANT_DELETED};
use crate::pg::transaction::gate;
use crate::pg::transaction::opening;
use crate::pg::{PgError, System, SystemReason, SystemTx};

/// The result of deleting a tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deleted {
    /// The number of deleted rows by table, for tables that had any.
    pub rows: Vec<(String, u64)>,
}

/// Deletes `tenant` and, by foreign keys, all of its rows; then checks that none remain. Returns `None` if there is
/// no such tenant.
///
/// Like [`Tenant::delete`](crate::pg::Tenant::delete), it waits for writes of members that are in progress.
///
/// # Errors
///
/// [`DeleteError`] when rows would remain or a query fails. Nothing is deleted then.
pub async fn delete(
    system: &System,
    reason: SystemReason,
    actor: Actor,
    contents: &Contents,
    tenant: TenantId,
) -> Result<Option<Deleted>, DeleteError> {
    let (mut tx, _) = system.begin_with(reason, opening::of_erasure()).await?;
    tx.act_as(actor);
    let found: Option<i32> =
        sqlx::query_scalar("select 1 from mt.tenants where id = $1 for no key update")
            .bind(tenant.as_uuid())
            .fetch_optional(tx.conn())
            .await
            .map_err(PgError::from)?;
    if found.is_none() {
        tx.rollback().await?;
        return Ok(None);
    }
    gate::close_tenant(tx.conn(), tenant).await?;
    let rows = count(&mut tx, contents, tenant).await?;
    sqlx::query("delete from mt.tenants where id = $1")
        .bind(tenant.as_uuid())
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
    if let Some((table, rows)) = count(&mut tx, contents, tenant).await?.into_iter().next() {
        return Err(DeleteError::Left { table, rows });
    }
    tx.log(tenant, TENANT_DELETED.on(tenant.as_uuid()));
    tx.commit().await?;
    Ok(Some(Deleted { rows }))
}

/// Counts the rows of the tenant in each table, as a role that sees them.
async fn count(
    tx: &mut SystemTx,
    contents: &Contents,
    tenant: TenantId,
) -> Result<Vec<(String, u64)>, PgError> {
    let mut counted = Vec::new();
    for table in contents.of_tenants() {
        let as_tenant = !table.name().starts_with("mt.");
        if as_tenant {
            tx.go_on_in(Some(tenant)).await?;
        }
        let sql = format!("select count(*) from {} where tenant_id = $1", table.quoted);
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(tenant.as_uuid())
            .fetch_one(tx.conn())
            .await?;
        if as_tenant {
            tx.go_on_in(None).await?;
        }
        if rows > 0 {
            counted.push((table.name().to_owned(), u64::try_from(rows).unwrap_or_default()));
        }
    }
    Ok(counted)
}

/// The error when a tenant could not be deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// Rows would remain.
    #[error("{rows} rows of `{table}` would remain")]
    Left {
        /// The table.
        table: String,
        /// The number of rows.
        rows: u64,
    },
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}
