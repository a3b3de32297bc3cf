//! Customers that pay for no tenant any more.

use mt_core::id::TenantId;
use mt_core::pg::audit_log::Fact;
use mt_core::pg::{PgError, SystemTx};
use uuid::Uuid;

use super::Realm;
use crate::PROVIDER;
use crate::audit::CUSTOMER_UNLINKED;
use crate::projection::PriceTable;

/// A customer whose link is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Former {
    /// Whether the link went with its tenant.
    pub(crate) tenant_deleted: bool,
}

impl Realm<'_> {
    /// What is known of a customer that is not linked, if it ever was.
    pub(crate) async fn former(self, tx: &mut SystemTx) -> Result<Option<Former>, PgError> {
        let tenant_deleted: Option<bool> = sqlx::query_scalar(
            "select tenant_deleted from mt.former_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_optional(tx.conn())
        .await?;
        Ok(tenant_deleted.map(|tenant_deleted| Former { tenant_deleted }))
    }

    /// Takes the link away, and what was paid through it. The database remembers the customer as a former one
    /// (`mt.remember_former_customer`). The customer must be held.
    pub(crate) async fn unlink(
        self,
        tx: &mut SystemTx,
        tenant: Uuid,
        prices: &PriceTable,
    ) -> Result<(), PgError> {
        if !super::hold_tenant(tx, tenant).await? {
            return Ok(());
        }
        self.project_nothing(tx, tenant, prices).await?;
        let unlinked = sqlx::query(
            "delete from mt.billing_customers \
             where tenant_id = $1 and provider = $2 and account = $3 and customer_id = $4",
        )
        .bind(tenant)
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .execute(tx.conn())
        .await?;
        if unlinked.rows_affected() > 0 {
            let entry = CUSTOMER_UNLINKED.on(tenant).with("customer", Fact::of_word(self.customer));
            tx.record(TenantId::from_uuid(tenant), entry);
        }
        Ok(())
    }
}
