//! Changing a role.

use super::{CustomRole, RoleError, Row, find, is_built_in, texts};
use crate::access::{AccessModel, Permission, PermissionSet};
use crate::id::RoleId;
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::ROLE_CHANGED;
use crate::pg::transaction::gate;
use crate::pg::{Exclusive, PgError, TenantTx};

/// A change of a custom role. What is `None` stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct RoleChange<'n, M: AccessModel> {
    /// Another name.
    pub name: Option<&'n str>,
    /// Another set of permissions.
    pub permissions: Option<PermissionSet<M>>,
}

/// Changes a role of the transaction's tenant. It counts from the next transaction of each holder. Where it takes a
/// permission away, the tenant's writes that are under way are waited for.
///
/// The caller holds what the role has before and after, also if only the name changes.
///
/// # Errors
///
/// [`RoleError`], in the order: not found, not allowed, name taken. [`RoleError::Pg`] also when a write takes longer than a
/// lock is waited for.
pub async fn change<P>(
    tx: &mut TenantTx<P, Exclusive>,
    role: RoleId,
    change: RoleChange<'_, P::Model>,
) -> Result<CustomRole<P::Model>, RoleError>
where
    P: Permission,
    P::Model: MemberPolicy,
{
    let before = find(tx, role).await?.ok_or(RoleError::NotFound)?;
    let permissions = change.permissions.unwrap_or(before.permissions);
    if !holds_each(tx.access().permissions(), [before.permissions, permissions]) {
        return Err(RoleError::Forbidden);
    }
    let name = change.name.unwrap_or(&before.name);
    if is_built_in::<P::Model>(name) {
        return Err(RoleError::NameTaken);
    }
    if name == before.name && permissions == before.permissions {
        return Ok(before);
    }
    let tenant = tx.tenant();
    if !before.permissions.is_subset_of(permissions) {
        gate::close_tenant(tx.conn(), tenant).await?;
        // A transaction that sees what was there before it began, and waited at the gate, fails on the changed row.
        sqlx::query("update mt.tenants set updated_at = now() where id = $1")
            .bind(tenant.as_uuid())
            .execute(tx.conn())
            .await
            .map_err(PgError::from)?;
    }
    let (from, to) = (texts(before.permissions), texts(permissions));
    let entry = ROLE_CHANGED.on(role.as_uuid()).with("from", from).with("to", to.clone());
    let entry = entry.with("renamed", name != before.name);
    let row: Row = sqlx::query_as(
        "update mt.roles set name = $3, permissions = $4, updated_at = now() \
         where tenant_id = $1 and id = $2 \
         returning id, name, based_on, permissions, created_at, updated_at",
    )
    .bind(tenant.as_uuid())
    .bind(role.as_uuid())
    .bind(name)
    .bind(to)
    .fetch_one(tx.changing(entry))
    .await
    .map_err(PgError::from)?;
    Ok(row.into_role()?)
}
