//! The subscription of an org.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::pg::{PgError, TenantTx};
use sqlx::FromRow;

use crate::model::BillingRead;

/// The org's subscription as it was projected, and the customer that pays for it.
#[derive(Clone, Debug, FromRow)]
pub struct Subscription {
    /// Stripe's word, or `none`.
    pub subscription_status: String,
    /// When the paid period ends.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether the subscription ends then.
    pub cancel_at_period_end: bool,
    /// When the present run of failed payments began.
    pub past_due_since: Option<DateTime<Utc>>,
    /// Who pays, once linked.
    pub customer_id: Option<String>,
}

impl Subscription {
    /// The subscription of the transaction's org.
    pub(crate) async fn load<P: Implies<BillingRead>>(
        tx: &mut TenantTx<P>,
    ) -> Result<Self, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(
            "select t.subscription_status, t.current_period_end, t.cancel_at_period_end, \
                 t.past_due_since, c.customer_id \
             from mt.tenants t left join mt.billing_customers c \
                 on c.tenant_id = t.id and c.tenant_id = $1 and c.provider = $2 \
             where t.id = $1",
        )
        .bind(tenant)
        .bind(crate::billing::PROVIDER)
        .fetch_one(tx.query::<BillingRead>())
        .await?)
    }
}
