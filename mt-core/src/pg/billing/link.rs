//! The link between a tenant and the customer that pays for it.
//!
//! The server that made the customer makes the link, in a transaction of the tenant. No event makes one: a visitor of a
//! payment page can set what an event says of a tenant. A customer that is linked stays linked, until the provider has
//! deleted it ([`forget`], or an event says so) or its tenant is deleted.

use super::audit::CUSTOMER_LINKED;
use crate::access::{Implies, Permission};
use crate::billing::PriceTable;
use crate::id::TenantId;
use crate::pg::audit_log::Fact;
use crate::pg::ledger::{self, Customer};
use crate::pg::{Exclusive, PgError, SystemTx, TenantTx, TxConn};

/// The connected account of these links: the platform's own.
const OWN_ACCOUNT: &str = "";

/// Returns the customer of `provider` that pays for the transaction's tenant, if there is one.
///
/// # Errors
///
/// [`PgError`].
pub async fn customer_of<Q, P, L>(
    tx: &mut TenantTx<P, L>,
    provider: &str,
) -> Result<Option<String>, PgError>
where
    Q: Permission,
    P: Implies<Q>,
{
    linked(tx.tenant(), provider, tx.under::<Q>()).await
}

async fn linked(
    tenant: TenantId,
    provider: &str,
    conn: TxConn<'_>,
) -> Result<Option<String>, PgError> {
    Ok(sqlx::query_scalar(
        "select customer_id from mt.billing_customers where tenant_id = $1 and provider = $2",
    )
    .bind(tenant.as_uuid())
    .bind(provider)
    .fetch_optional(conn)
    .await?)
}

/// Links `customer` of `provider` to the transaction's tenant unless the tenant has a customer, and returns the customer
/// that is linked now. Call [`wake`] once this is committed.
///
/// # Errors
///
/// [`LinkError::Taken`] when `customer` pays for another tenant.
pub async fn link<P>(
    tx: &mut TenantTx<P, Exclusive>,
    provider: &str,
    customer: &str,
) -> Result<String, LinkError>
where
    P: Permission,
{
    let tenant = tx.tenant();
    let entry = CUSTOMER_LINKED.on(tenant.as_uuid()).with("customer", Fact::of_word(customer));
    sqlx::query(
        "insert into mt.billing_customers (tenant_id, provider, customer_id) values ($1, $2, $3) \
         on conflict do nothing",
    )
    .bind(tenant.as_uuid())
    .bind(provider)
    .bind(customer)
    .execute(tx.execute::<P>(entry))
    .await
    .map_err(PgError::from)?;
    linked(tenant, provider, tx.execute_unaudited::<P>()).await?.ok_or(LinkError::Taken)
}

/// Makes the events that were deferred for want of this customer's link due at once. Call it once the link is committed,
/// also for a link that was there already: the process that made it may have been killed before it called this.
///
/// # Errors
///
/// [`PgError`]. No event is lost then: each is due when its backoff ends.
pub async fn wake(tx: &mut SystemTx, provider: &str, customer: &str) -> Result<u64, PgError> {
    ledger::wake(tx, provider, OWN_ACCOUNT, customer).await
}

/// Unlinks a customer that the provider does not know any more, so that another one can be made, and projects its tenant
/// without it. Does nothing if `customer` is not linked.
///
/// # Errors
///
/// [`PgError`].
pub async fn forget(
    tx: &mut SystemTx,
    provider: &str,
    customer: &str,
    prices: &PriceTable,
) -> Result<(), PgError> {
    let test = Customer { provider, account: OWN_ACCOUNT, livemode: false, id: customer };
    // This waits for events of either mode: one that has found the link must not be applied without it.
    test.lock(tx).await?;
    Customer { livemode: true, ..test }.lock(tx).await?;
    match test.tenant(tx).await? {
        Some(tenant) => test.unlink(tx, tenant, prices).await,
        None => Ok(()),
    }
}

/// Why a customer was not linked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Postgres failed, or cannot be reached. Try again.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The customer pays for another tenant. Make another customer.
    #[error("customer is linked to another tenant")]
    Taken,
}
