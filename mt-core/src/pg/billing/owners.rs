//! The owners of a tenant, for messages to them about its billing.

use sqlx::FromRow;
use uuid::Uuid;

use crate::id::{PrincipalId, TenantId};
use crate::pg::{PgError, SystemTx};

/// What a message to an owner of a tenant needs.
#[derive(Clone, Debug, Eq, FromRow, PartialEq)]
#[non_exhaustive]
pub struct Owner {
    /// The owner's address, in canonical form.
    pub email: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// The text of the tenant's plan. It may be of a plan that this version of the application does not know.
    pub plan: String,
}

/// Lists the owners of `tenant`.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<PrincipalId>, PgError> {
    let owners: Vec<Uuid> = sqlx::query_scalar(
        "select principal_id from mt.memberships where tenant_id = $1 and is_owner",
    )
    .bind(tenant.as_uuid())
    .fetch_all(tx.conn())
    .await?;
    Ok(owners.into_iter().map(PrincipalId::from_uuid).collect())
}

/// Returns `principal` as an owner of `tenant`; `None` if it is not one, or not any more.
///
/// # Errors
///
/// [`PgError`].
pub async fn find(
    tx: &mut SystemTx,
    tenant: TenantId,
    principal: PrincipalId,
) -> Result<Option<Owner>, PgError> {
    Ok(sqlx::query_as(
        "select t.name as tenant_name, u.email, t.plan from mt.memberships m \
         join mt.tenants t on t.id = m.tenant_id join mt.users u on u.id = m.principal_id \
         where m.tenant_id = $1 and m.principal_id = $2 and m.is_owner",
    )
    .bind(tenant.as_uuid())
    .bind(principal.as_uuid())
    .fetch_optional(tx.conn())
    .await?)
}
