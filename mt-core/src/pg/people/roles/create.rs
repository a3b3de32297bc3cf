//! Making a role.

use super::{CustomRole, RoleError, Row, is_built_in, texts};
use crate::access::{AccessModel, Permission, PermissionSet};
use crate::id::RoleId;
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::ROLE_CREATED;
use crate::pg::{Exclusive, PgError, TenantTx};
use crate::text_enum::TextEnum as _;

/// The most custom roles of a tenant.
pub const MAX_ROLES: u32 = 100;

/// A custom role to make.
#[derive(Clone, Copy, Debug)]
pub struct NewRole<'n, M: AccessModel> {
    /// Its name: 1 to 200 characters.
    pub name: &'n str,
    /// The built-in role whose rules about members and rows it gets. It is not the owners' role, and does not change
    /// later. A server of a release without custom roles takes holders for holders of it, so a narrow one is best.
    pub based_on: M::Role,
    /// What its holders may do.
    pub permissions: PermissionSet<M>,
}

/// Makes a role of the transaction's tenant.
///
/// # Errors
///
/// [`RoleError`], in the order: not allowed, name taken by a built-in role, too many, name taken by a custom one.
pub async fn create<P>(
    tx: &mut TenantTx<P, Exclusive>,
    new: NewRole<'_, P::Model>,
) -> Result<CustomRole<P::Model>, RoleError>
where
    P: Permission,
    P::Model: MemberPolicy,
{
    let NewRole { name, based_on, permissions } = new;
    let is_owners = based_on == <P::Model as MemberPolicy>::OWNER;
    if is_owners || !holds_each(tx.access().permissions(), [permissions]) {
        return Err(RoleError::Forbidden);
    }
    if is_built_in::<P::Model>(name) {
        return Err(RoleError::NameTaken);
    }
    let tenant = tx.tenant().as_uuid();
    let count: i64 = sqlx::query_scalar("select count(*) from mt.roles where tenant_id = $1")
        .bind(tenant)
        .fetch_one(tx.conn())
        .await
        .map_err(PgError::from)?;
    if count >= i64::from(MAX_ROLES) {
        return Err(RoleError::TooMany);
    }
    let (id, permissions) = (RoleId::generate().as_uuid(), texts(permissions));
    let entry =
        ROLE_CREATED.on(id).with("based_on", based_on).with("permissions", permissions.clone());
    let row: Row = sqlx::query_as(
        "insert into mt.roles (tenant_id, id, name, based_on, permissions) \
         values ($1, $2, $3, $4, $5) \
         returning id, name, based_on, permissions, created_at, updated_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(name)
    .bind(based_on.as_str())
    .bind(permissions)
    .fetch_one(tx.changing(entry))
    .await
    .map_err(PgError::from)?;
    Ok(row.into_role()?)
}
