//! A customer's tenant, and the end of that link.

use uuid::Uuid;

use super::audit::CUSTOMER_UNLINKED;
use crate::billing::{PriceTable, Purchases};
use crate::id::TenantId;
use crate::pg::audit_log::Fact;
use crate::pg::ledger::Customer;
use crate::pg::{PgError, SystemTx};

/// A customer that pays for no tenant any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FormerCustomer {
    /// Whether its tenant was deleted.
    pub tenant_deleted: bool,
}

impl Customer<'_> {
    /// The tenant that the customer pays for, if any.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn tenant(self, tx: &mut SystemTx) -> Result<Option<Uuid>, PgError> {
        Ok(sqlx::query_scalar(
            "select tenant_id from mt.billing_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .fetch_optional(tx.conn())
        .await?)
    }

    /// What is stored of a customer that is not linked, if it was linked before.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn former(self, tx: &mut SystemTx) -> Result<Option<FormerCustomer>, PgError> {
        let tenant_deleted: Option<bool> = sqlx::query_scalar(
            "select tenant_deleted from mt.former_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .fetch_optional(tx.conn())
        .await?;
        Ok(tenant_deleted.map(|tenant_deleted| FormerCustomer { tenant_deleted }))
    }

    /// Unlinks the customer from `tenant`, and projects the tenant without it. The database records the customer as a
    /// former one (`mt.remember_former_customer`). The customer must be [locked](Self::lock).
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn unlink(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        prices: &PriceTable,
    ) -> Result<(), PgError> {
        if !hold_tenant(tx, tenant).await? {
            return Ok(());
        }
        self.project(tx, tenant, &Purchases::default(), prices).await?;
        let unlinked = sqlx::query(
            "delete from mt.billing_customers \
             where tenant_id = $1 and provider = $2 and account = $3 and customer_id = $4",
        )
        .bind(tenant)
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .execute(tx.conn())
        .await?;
        if unlinked.rows_affected() > 0 {
            let entry = CUSTOMER_UNLINKED.on(tenant).with("customer", Fact::of_word(self.id));
            tx.record(TenantId::from_uuid(tenant), entry);
        }
        Ok(())
    }
}

/// Locks the row of a tenant, which comes before its children in the one order of locks. Returns `false` if the tenant
/// is deleted.
///
/// # Errors
///
/// [`PgError`].
pub async fn hold_tenant(tx: &mut SystemTx, tenant: Uuid) -> Result<bool, PgError> {
    let found: Option<i32> =
        sqlx::query_scalar("select 1 from mt.tenants where id = $1 for no key update")
            .bind(tenant)
            .fetch_optional(tx.conn())
            .await?;
    Ok(found.is_some())
}
