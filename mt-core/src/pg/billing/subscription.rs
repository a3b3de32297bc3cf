//! A tenant's subscription.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::access::{Implies, Permission};
use crate::pg::{PgError, TenantTx, query_as};

/// A tenant's subscription as it was projected, and the customer that pays for it.
#[derive(Clone, Debug, FromRow)]
pub struct Subscription {
    /// The provider's word for its status, or `none`.
    pub subscription_status: String,
    /// When the paid period ends.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether the subscription ends then.
    pub cancel_at_period_end: bool,
    /// When the present run of failed payments began.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The customer at the provider, once linked.
    pub customer_id: Option<String>,
}

impl Subscription {
    /// Returns the subscription of the transaction's tenant, with its customer at `provider`.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn load<R: Permission, P: Implies<R>, L>(
        tx: &mut TenantTx<P, L>,
        provider: &str,
    ) -> Result<Self, PgError> {
        let tenant = tx.tenant().as_uuid();
        query_as(
            "select t.subscription_status, t.current_period_end, t.cancel_at_period_end, \
                 t.past_due_since, c.customer_id \
             from mt.tenants t left join mt.billing_customers c \
                 on c.tenant_id = t.id and c.tenant_id = $1 and c.provider = $2 \
             where t.id = $1",
        )
        .bind(tenant)
        .bind(provider)
        .fetch_one(tx.under::<R>())
        .await
    }
}
