//! A tenant deleted without a rest.

use sqlx::AssertSqlSafe;

use super::super::audit_log::{Actor, TENANT_DELETED};
use super::super::{PgError, SystemPool, SystemReason, SystemTx, opening};
use super::Contents;
use crate::id::TenantId;

/// What was deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deleted {
    /// How many rows of each table of tenants, those that had some.
    pub rows: Vec<(String, u64)>,
}

/// Deletes `tenant` and, by their foreign keys, all rows that are its own; then looks whether there are any
/// left. `None` if there is no such tenant.
///
/// As with [`Tenant::delete`](crate::pg::Tenant::delete), members' writes that are under way are waited for.
///
/// # Errors
///
/// [`DeleteError`]; everything is there still.
pub async fn delete(
    system: &SystemPool,
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
    let gate = opening::gate("tenant_id", "principal_id");
    sqlx::query(AssertSqlSafe(format!(
        "select pg_advisory_xact_lock({gate}) from mt.memberships where tenant_id = $1"
    )))
    .bind(tenant.as_uuid())
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    let rows = count(&mut tx, contents, tenant).await?;
    sqlx::query("delete from mt.tenants where id = $1")
        .bind(tenant.as_uuid())
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
    if let Some((table, rows)) = count(&mut tx, contents, tenant).await?.into_iter().next() {
        return Err(DeleteError::Left { table, rows });
    }
    tx.tell(tenant, TENANT_DELETED.on(tenant.as_uuid()));
    tx.commit().await?;
    Ok(Some(Deleted { rows }))
}

/// The tables that have rows of the tenant, each as a role that sees them.
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

/// Why a tenant was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// Some of it would have been left.
    #[error("{rows} rows of `{table}` would be left")]
    Left {
        /// Where.
        table: String,
        /// How many.
        rows: u64,
    },
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
}
