//! Giving tenants slugs.

use super::tenant::{Row, columns};
use crate::access::Permission;
use crate::id::PrincipalId;
use crate::member_policy::MemberPolicy;
use crate::pg::audit_log::TENANT_SLUG_CHANGED;
use crate::pg::{Exclusive, PgError, SystemTx, Tenant, TenantTx};
use crate::tenant_name::Slug;

impl Tenant {
    /// Makes a tenant with a slug and its first member, the owner.
    ///
    /// # Errors
    ///
    /// [`SlugError`]. The transaction cannot go on after [`SlugError::Taken`]: begin another one.
    pub async fn create_with_slug<M: MemberPolicy>(
        tx: &mut SystemTx,
        name: &str,
        slug: &Slug,
        owner: PrincipalId,
    ) -> Result<Self, SlugError> {
        Ok(Self::insert::<M>(tx, name, Some(slug), owner).await?)
    }

    /// Gives the transaction's tenant another slug, or takes its slug away. Links with the slug of before lead nowhere
    /// from then on, and another tenant may take it.
    ///
    /// ```no_run
    /// use mt_core::access::{AccessRequest, Permission, Writes};
    /// use mt_core::pg::{SlugError, Tenant, Tenants};
    /// use mt_core::tenant_name::Slug;
    ///
    /// # async fn example<P: Permission<Effect = Writes>>(
    /// #     tenants: Tenants<P::Model>, request: AccessRequest<P>, typed: &str,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let slug = Slug::parse(&typed.to_lowercase())?;
    /// let mut tx = tenants.begin(request).exclusive().await?;
    /// match Tenant::set_slug(&mut tx, Some(&slug)).await {
    ///     Ok(_) => tx.commit().await?,
    ///     Err(SlugError::Taken) => return Err("choose another name".into()),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SlugError`]. The transaction cannot go on after [`SlugError::Taken`]: begin another one.
    pub async fn set_slug<P: Permission>(
        tx: &mut TenantTx<P, Exclusive>,
        slug: Option<&Slug>,
    ) -> Result<Self, SlugError> {
        let id = tx.tenant().as_uuid();
        let row: Row = sqlx::query_as(concat!(
            "update mt.tenants as t set slug = $2, updated_at = now() where t.id = $1 returning ",
            columns!()
        ))
        .bind(id)
        .bind(slug.map(Slug::as_str))
        .fetch_one(tx.changing(TENANT_SLUG_CHANGED.on(id)))
        .await
        .map_err(PgError::from)?;
        Ok(row.try_into().map_err(PgError::from)?)
    }
}

/// Why a tenant did not get a slug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlugError {
    /// Another tenant has it. Ask for another one.
    #[error("another tenant has this slug")]
    Taken,
    /// A database error.
    #[error(transparent)]
    Pg(PgError),
}

impl From<PgError> for SlugError {
    fn from(error: PgError) -> Self {
        match error.constraint() {
            Some("tenants_slug_key") => Self::Taken,
            _ => Self::Pg(error),
        }
    }
}
