//! Service accounts: principals of one tenant that are not people.
//!
//! A service account has a name and a role, and no e-mail address and no membership: it takes no seat, and is never the owner
//! that a tenant keeps. It acts by [API keys](crate::pg::api_keys) only. Its role decides as a member's does. The
//! [example](crate::pg::api_keys#example) makes one.
//!
//! A caller makes one with a role that the [`MemberPolicy`] lets them invite members as. As with members, a caller gives no
//! role that carries a permission which they do not hold.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::api_keys::is_name;
use crate::access::{AccessModel, Permission, PermissionSet};
use crate::id::{PrincipalId, ServiceAccountId};
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::{
    SERVICE_ACCOUNT_CREATED, SERVICE_ACCOUNT_DELETED, SERVICE_ACCOUNT_ROLE_CHANGED,
};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::gate;
use crate::pg::{BeginError, Exclusive, PgError, TenantRead, TenantTx, query_as};
use crate::text_enum::TextEnum;

/// A service account of the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccount<R> {
    /// The account's id.
    pub id: ServiceAccountId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Its role.
    pub role: R,
    /// Who created it.
    pub created_by: PrincipalId,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// The role type of `P`'s model.
type RoleOf<P> = <<P as Permission>::Model as AccessModel>::Role;

/// Creates a service account with a role, under the rules for inviting members as that role. The owner's role is refused.
///
/// # Errors
///
/// [`ServiceAccountError`], in the order: name, forbidden, name taken.
pub async fn create<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    name: &str,
    role: RoleOf<P>,
) -> Result<ServiceAccount<RoleOf<P>>, ServiceAccountError>
where
    P::Model: MemberPolicy,
{
    if !is_name(name) {
        return Err(ServiceAccountError::Name);
    }
    if !tx.access().each_role(|by| P::Model::may_invite(by, role)) || !may_give(tx, role) {
        return Err(ServiceAccountError::Forbidden);
    }
    let id = ServiceAccountId::generate();
    let row: Option<Row> = sqlx::query_as(
        "insert into mt.service_accounts (tenant_id, id, name, role, created_by) values ($1, $2, $3, $4, $5) \
         on conflict (tenant_id, name) do nothing returning id, name, role, created_by, created_at",
    )
    .bind(tx.tenant().as_uuid())
    .bind(id.as_uuid())
    .bind(name)
    .bind(role.as_str())
    .bind(tx.principal().id().as_uuid())
    .fetch_optional(tx.changing(SERVICE_ACCOUNT_CREATED.on(id.as_uuid()).with("role", role)))
    .await
    .map_err(PgError::from)?;
    Ok(row.ok_or(ServiceAccountError::NameTaken)?.into_account()?)
}

/// Returns the tenant's service accounts in one round trip, newest first, after the one named by `before`.
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
    before: Option<ServiceAccountId>,
    limit: i64,
) -> Result<Vec<ServiceAccount<RoleOf<P>>>, BeginError> {
    let rows = query_as::<Row>(
        "select id, name, role, created_by, created_at from mt.service_accounts \
         where tenant_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
    )
    .bind(read.tenant().as_uuid())
    .bind(before.map(ServiceAccountId::as_uuid))
    .bind(limit)
    .fetch_all(read)
    .await?;
    Ok(rows.into_iter().map(Row::into_account).collect::<Result<_, PgError>>()?)
}

/// Gives a service account another role, under the rules for assigning roles to members.
///
/// # Errors
///
/// [`ServiceAccountError`], in the order: not found, forbidden.
pub async fn assign_role<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    account: ServiceAccountId,
    role: RoleOf<P>,
) -> Result<ServiceAccount<RoleOf<P>>, ServiceAccountError>
where
    P::Model: MemberPolicy,
{
    let mut found = hold(tx, account).await?;
    let may_assign = |by| P::Model::may_assign(by, found.role, role);
    if !tx.access().each_role(may_assign) || !may_give(tx, role) {
        return Err(ServiceAccountError::Forbidden);
    }
    if found.role == role {
        return Ok(found);
    }
    let entry = SERVICE_ACCOUNT_ROLE_CHANGED.on(account.as_uuid());
    sqlx::query("update mt.service_accounts set role = $3 where tenant_id = $1 and id = $2")
        .bind(tx.tenant().as_uuid())
        .bind(account.as_uuid())
        .bind(role.as_str())
        .execute(tx.changing(entry.with("from", found.role).with("to", role)))
        .await
        .map_err(PgError::from)?;
    found.role = role;
    Ok(found)
}

/// Deletes a service account and its keys, under the rules for removing members.
///
/// # Errors
///
/// [`ServiceAccountError`], in the order: not found, forbidden.
pub async fn delete<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    account: ServiceAccountId,
) -> Result<(), ServiceAccountError>
where
    P::Model: MemberPolicy,
{
    let found = hold(tx, account).await?;
    if !tx.access().each_role(|by| P::Model::may_remove(by, found.role)) {
        return Err(ServiceAccountError::Forbidden);
    }
    sqlx::query("delete from mt.service_accounts where tenant_id = $1 and id = $2")
        .bind(tx.tenant().as_uuid())
        .bind(account.as_uuid())
        .execute(
            tx.changing(SERVICE_ACCOUNT_DELETED.on(account.as_uuid()).with("role", found.role)),
        )
        .await
        .map_err(PgError::from)?;
    Ok(())
}

/// Whether the caller may give `role` to a service account: it is not the owner's, and carries nothing that they do not hold.
fn may_give<P: Permission>(tx: &TenantTx<P, Exclusive>, role: RoleOf<P>) -> bool
where
    P::Model: MemberPolicy,
{
    role != <P::Model as MemberPolicy>::OWNER
        && PermissionSet::of_role(role).is_subset_of(tx.access().permissions())
}

/// Waits for the writes of the account that are under way, and keeps new ones out until the transaction ends.
async fn hold<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    account: ServiceAccountId,
) -> Result<ServiceAccount<RoleOf<P>>, ServiceAccountError> {
    let tenant = tx.tenant();
    gate::close_membership(tx.conn(), tenant, PrincipalId::from_uuid(account.as_uuid())).await?;
    let row: Option<Row> = sqlx::query_as(
        "select id, name, role, created_by, created_at from mt.service_accounts \
         where tenant_id = $1 and id = $2 for update",
    )
    .bind(tenant.as_uuid())
    .bind(account.as_uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    Ok(row.ok_or(ServiceAccountError::NotFound)?.into_account()?)
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    name: String,
    role: String,
    created_by: Uuid,
    created_at: DateTime<Utc>,
}

impl Row {
    fn into_account<R: TextEnum>(self) -> Result<ServiceAccount<R>, PgError> {
        Ok(ServiceAccount {
            id: ServiceAccountId::from_uuid(self.id),
            role: variant("role", &self.role)?,
            name: self.name,
            created_by: PrincipalId::from_uuid(self.created_by),
            created_at: self.created_at,
        })
    }
}

/// The error of a change to service accounts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceAccountError {
    /// The caller's role may not do this, or the role carries a permission that the caller does not hold.
    #[error("the caller may not give that role to a service account")]
    Forbidden,
    /// The name is empty, longer than 100 characters or has control characters.
    #[error("the name must have 1 to 100 characters, without control characters")]
    Name,
    /// Another service account of the tenant has the name.
    #[error("a service account has this name already")]
    NameTaken,
    /// No such service account here.
    #[error("no such service account")]
    NotFound,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}
