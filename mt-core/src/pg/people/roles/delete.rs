//! Deleting a role.

use super::{RoleError, find, texts};
use crate::access::Permission;
use crate::id::RoleId;
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::ROLE_DELETED;
use crate::pg::{Exclusive, PgError, TenantTx};

/// Deletes a role of the transaction's tenant that no member and no open invite has. Invites that were accepted, were
/// revoked or have expired go on showing the role that it was based on.
///
/// # Errors
///
/// [`RoleError`], in the order: not found, not allowed, in use.
pub async fn delete<P>(tx: &mut TenantTx<P, Exclusive>, role: RoleId) -> Result<(), RoleError>
where
    P: Permission,
    P::Model: MemberPolicy,
{
    let before = find(tx, role).await?.ok_or(RoleError::NotFound)?;
    if !holds_each(tx.access().permissions(), [before.permissions]) {
        return Err(RoleError::Forbidden);
    }
    let tenant = tx.tenant().as_uuid();
    let (members, invites): (i64, i64) = sqlx::query_as(
        "select (select count(*) from mt.memberships where tenant_id = $1 and role_id = $2), \
             (select count(*) from mt.invites where tenant_id = $1 and role_id = $2 \
                 and accepted_at is null and revoked_at is null and expires_at > now())",
    )
    .bind(tenant)
    .bind(role.as_uuid())
    .fetch_one(tx.conn())
    .await
    .map_err(PgError::from)?;
    if members > 0 || invites > 0 {
        let (members, invites) = (members.unsigned_abs(), invites.unsigned_abs());
        return Err(RoleError::InUse { members, invites });
    }
    // What is left are invites that cannot be accepted.
    sqlx::query("update mt.invites set role_id = null where tenant_id = $1 and role_id = $2")
        .bind(tenant)
        .bind(role.as_uuid())
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
    let entry = ROLE_DELETED.on(role.as_uuid()).with("permissions", texts(before.permissions));
    sqlx::query("delete from mt.roles where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(role.as_uuid())
        .execute(tx.changing(entry))
        .await
        .map_err(PgError::from)?;
    Ok(())
}
