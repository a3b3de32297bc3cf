//! Narrowing and revoking API keys.

use sqlx::FromRow;
use uuid::Uuid;

use super::ApiKeyError;
use crate::access::{Permission, PermissionSet};
use crate::id::{ApiKeyId, PrincipalId};
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::{API_KEY_NARROWED, API_KEY_REVOKED};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::gate;
use crate::pg::{Exclusive, PgError, TenantTx};
use crate::text_enum::TextEnum;

/// Limits a key to `permissions`, which it has all. With those that it has already, nothing changes.
///
/// Once the transaction has committed, no write under the former permissions can commit.
///
/// # Errors
///
/// [`ApiKeyError::NotFound`] for a key that is not there or has ended; [`ApiKeyError::Forbidden`] for one of another holder
/// whom the caller may not remove ([`MemberPolicy::may_remove`]); [`ApiKeyError::Gains`] for permissions that it does not
/// have; [`ApiKeyError::Pg`].
pub async fn narrow<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    key: ApiKeyId,
    permissions: PermissionSet<P::Model>,
) -> Result<(), ApiKeyError>
where
    P::Model: MemberPolicy,
{
    let found = hold(tx, key).await?;
    let had = super::list::permissions(found.permissions.as_deref());
    let gained = permissions.difference(had.unwrap_or(PermissionSet::all()));
    if !gained.is_empty() {
        return Err(ApiKeyError::Gains(gained.iter().map(TextEnum::as_str).collect()));
    }
    if had == Some(permissions) {
        return Ok(());
    }
    let kept: Vec<&'static str> = permissions.iter().map(TextEnum::as_str).collect();
    let entry = API_KEY_NARROWED.on(key.as_uuid()).with("permissions", kept.clone());
    sqlx::query("update mt.api_keys set permissions = $3 where tenant_id = $1 and id = $2")
        .bind(tx.tenant().as_uuid())
        .bind(key.as_uuid())
        .bind(kept)
        .execute(tx.changing(entry))
        .await
        .map_err(PgError::from)?;
    Ok(())
}

/// Ends a key. Once the transaction has committed, nothing opens with it and no write that it began can commit.
///
/// # Errors
///
/// [`ApiKeyError::NotFound`] for a key that is not there or has ended; [`ApiKeyError::Forbidden`] for one of another holder
/// whom the caller may not remove ([`MemberPolicy::may_remove`]); [`ApiKeyError::Pg`].
pub async fn revoke<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    key: ApiKeyId,
) -> Result<(), ApiKeyError>
where
    P::Model: MemberPolicy,
{
    hold(tx, key).await?;
    sqlx::query("update mt.api_keys set revoked_at = now() where tenant_id = $1 and id = $2")
        .bind(tx.tenant().as_uuid())
        .bind(key.as_uuid())
        .execute(tx.changing(API_KEY_REVOKED.on(key.as_uuid())))
        .await
        .map_err(PgError::from)?;
    Ok(())
}

#[derive(FromRow)]
struct Found {
    user_id: Option<Uuid>,
    service_account_id: Option<Uuid>,
    permissions: Option<Vec<String>>,
    /// The role of the member or service account that holds it.
    role: String,
}

/// Finds a key that the caller may end: their own, or that of a holder whom they may remove from the tenant. Waits for the
/// writes with it that are under way, and keeps new ones out until the transaction ends.
async fn hold<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    key: ApiKeyId,
) -> Result<Found, ApiKeyError>
where
    P::Model: MemberPolicy,
{
    let tenant = tx.tenant();
    let found: Option<Found> = sqlx::query_as(
        "select k.user_id, k.service_account_id, k.permissions, coalesce(m.role, s.role) as role from mt.api_keys k \
         left join mt.memberships m on m.tenant_id = k.tenant_id and m.principal_id = k.user_id \
         left join mt.service_accounts s on s.tenant_id = k.tenant_id and s.id = k.service_account_id \
         where k.tenant_id = $1 and k.id = $2 and k.revoked_at is null \
             and (k.expires_at is null or k.expires_at > now())",
    )
    .bind(tenant.as_uuid())
    .bind(key.as_uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    let found = found.ok_or(ApiKeyError::NotFound)?;
    let role = variant("role", &found.role).map_err(PgError::from)?;
    if found.user_id != Some(tx.principal().id().as_uuid())
        && !tx.access().each_role(|by| P::Model::may_remove(by, role))
    {
        return Err(ApiKeyError::Forbidden);
    }
    end_writes(tx, key, found.user_id.or(found.service_account_id)).await?;
    Ok(found)
}

/// Waits for the writes with a key of this holder that are under way, and keeps new ones out until the transaction ends.
pub(super) async fn end_writes<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    key: ApiKeyId,
    holder: Option<Uuid>,
) -> Result<(), PgError> {
    let tenant = tx.tenant();
    // Writes with the key have passed the gate of its principal: the user, or the service account.
    if let Some(holder) = holder {
        gate::close_membership(tx.conn(), tenant, PrincipalId::from_uuid(holder)).await?;
    }
    // Writers hold the row `for key share`, which only this lock waits for: the time of the last use changes meanwhile.
    sqlx::query("select 1 from mt.api_keys where tenant_id = $1 and id = $2 for update")
        .bind(tenant.as_uuid())
        .bind(key.as_uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}
