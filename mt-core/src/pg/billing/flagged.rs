//! Tenants whose billing an operator should look at.
//!
//! Nothing has failed for them; each [`Flag`](crate::billing::Flag) is a reason to look.

use uuid::Uuid;

use crate::id::TenantId;
use crate::pg::{PgError, SystemTx};

/// A tenant with at least one flag.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FlaggedTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer that pays for it.
    pub customer: String,
    /// Its flags.
    pub flags: Vec<String>,
    /// The identifiers of its customer's subscriptions that have not ended.
    pub subscriptions: Vec<String>,
}

/// Lists all flagged tenants of a provider, in the order of their identifiers.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(tx: &mut SystemTx, provider: &str) -> Result<Vec<FlaggedTenant>, PgError> {
    let rows: Vec<(Uuid, String, Vec<String>, Vec<String>)> = sqlx::query_as(
        "select c.tenant_id, c.customer_id, c.flags, \
             coalesce((select array_agg(s.subscription_id order by s.subscription_id) \
                 from mt.subscriptions s \
                 where s.provider = c.provider and s.account = c.account \
                     and s.livemode = any ('{false,true}') and s.customer_id = c.customer_id \
                     and s.status not in ('', 'canceled', 'incomplete_expired')), '{}') \
         from mt.billing_customers c \
         where c.provider = $1 and c.flags <> '{}' order by c.tenant_id",
    )
    .bind(provider)
    .fetch_all(tx.conn())
    .await?;
    let flagged = |(tenant, customer, flags, subscriptions)| FlaggedTenant {
        tenant: TenantId::from_uuid(tenant),
        customer,
        flags,
        subscriptions,
    };
    Ok(rows.into_iter().map(flagged).collect())
}
