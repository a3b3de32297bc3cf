//! API keys as operators list and revoke them.

use crate::access::AccessModel;
use crate::id::{ApiKeyId, PrincipalId, TenantId};
use crate::pg::audit_log::API_KEY_REVOKED;
use crate::pg::transaction::gate;
use crate::pg::{PgError, SystemTx};

use super::ApiKey;
use super::list::Row;

/// Returns the keys of `tenant`, newest first: also those that have ended.
///
/// # Errors
///
/// [`PgError`].
pub async fn list_for_operator<M: AccessModel>(
    tx: &mut SystemTx,
    tenant: TenantId,
) -> Result<Vec<ApiKey<M>>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, user_id, service_account_id, name, hint, permissions, created_by, created_at, expires_at, \
             revoked_at, last_used_at \
         from mt.api_keys where tenant_id = $1 order by id desc",
    )
    .bind(tenant.as_uuid())
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Row::into_key).collect())
}

/// Revokes a key of any holder, as after a leak. Returns `false` if it is not there or has ended. As with
/// [`revoke`](super::revoke), no write that it began commits after the transaction.
///
/// # Errors
///
/// [`PgError`].
pub async fn revoke_for_operator(
    tx: &mut SystemTx,
    tenant: TenantId,
    key: ApiKeyId,
) -> Result<bool, PgError> {
    // The order of locks is that of all changes to credentials: tenant, gate, row.
    sqlx::query("select 1 from mt.tenants where id = $1 for no key update")
        .bind(tenant.as_uuid())
        .execute(tx.conn())
        .await?;
    let holder: Option<uuid::Uuid> = sqlx::query_scalar(
        "select coalesce(user_id, service_account_id) from mt.api_keys \
         where tenant_id = $1 and id = $2 and revoked_at is null and (expires_at is null or expires_at > now())",
    )
    .bind(tenant.as_uuid())
    .bind(key.as_uuid())
    .fetch_optional(tx.conn())
    .await?;
    let Some(holder) = holder else { return Ok(false) };
    gate::close_membership(tx.conn(), tenant, PrincipalId::from_uuid(holder)).await?;
    sqlx::query("select 1 from mt.api_keys where tenant_id = $1 and id = $2 for update")
        .bind(tenant.as_uuid())
        .bind(key.as_uuid())
        .execute(tx.conn())
        .await?;
    sqlx::query("update mt.api_keys set revoked_at = now() where tenant_id = $1 and id = $2")
        .bind(tenant.as_uuid())
        .bind(key.as_uuid())
        .execute(tx.conn())
        .await?;
    tx.record(tenant, API_KEY_REVOKED.on(key.as_uuid()));
    Ok(true)
}
