//! Which customer pays for which tenant.
//!
//! The link is made by the server that made the customer, in a transaction of the tenant. No event
//! makes one: what an event says of a tenant (`client_reference_id`, metadata) can be set by whoever
//! opens a payment link. A customer that is linked stays linked, until Stripe has deleted it ([`forget`], and the
//! event `customer.deleted`) or its tenant is deleted.

use mt_core::access::Permission;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Fact;
use mt_core::pg::ledger;
use mt_core::pg::{Exclusive, PgError, SystemTx, TenantTx, TxConn};

use crate::PROVIDER;
use crate::audit::CUSTOMER_LINKED;
use crate::projection::PriceTable;
use crate::state::Realm;

/// The account of links that are made here: the platform's own.
const OWN_ACCOUNT: &str = "";

/// The customer of the transaction's tenant, if it has one.
///
/// # Errors
///
/// [`PgError`].
pub async fn customer_of<Q, P, L>(tx: &mut TenantTx<P, L>) -> Result<Option<String>, PgError>
where
    Q: Permission,
    P: mt_core::access::Implies<Q>,
{
    linked_in(tx.tenant(), tx.under::<Q>()).await
}

async fn linked_in(tenant: TenantId, conn: TxConn<'_>) -> Result<Option<String>, PgError> {
    Ok(sqlx::query_scalar(
        "select customer_id from mt.billing_customers where tenant_id = $1 and provider = $2",
    )
    .bind(tenant.as_uuid())
    .bind(PROVIDER)
    .fetch_optional(conn)
    .await?)
}

/// Links `customer` to the transaction's tenant, or finds the link that is there, and returns the
/// customer that is linked now. Call [`wake`] once this is committed.
///
/// # Errors
///
/// [`LinkError::Taken`] when `customer` pays for another tenant.
pub async fn link<P>(tx: &mut TenantTx<P, Exclusive>, customer: &str) -> Result<String, LinkError>
where
    P: Permission,
{
    let tenant = tx.tenant();
    let linked = CUSTOMER_LINKED.on(tenant.as_uuid()).with("customer", Fact::of_word(customer));
    sqlx::query(
        "insert into mt.billing_customers (tenant_id, provider, customer_id) values ($1, $2, $3) \
         on conflict do nothing",
    )
    .bind(tenant.as_uuid())
    .bind(PROVIDER)
    .bind(customer)
    .execute(tx.change::<P>(linked))
    .await
    .map_err(PgError::from)?;
    linked_in(tenant, tx.unrecorded::<P>()).await?.ok_or(LinkError::Taken)
}

/// Makes the events that were waiting for this customer's link due at once. Call it once the link is
/// committed; also for a link that was there, since whoever made it may have been stopped before this.
///
/// # Errors
///
/// [`PgError`]. Nothing is lost then: the events stay due by their own clock.
pub async fn wake(tx: &mut SystemTx, customer: &str) -> Result<u64, PgError> {
    ledger::wake(tx, PROVIDER, OWN_ACCOUNT, customer).await
}

/// Unlinks a customer that Stripe knows no more, and what was paid through it, so that another can be made. Does
/// nothing if `customer` is not linked.
///
/// # Errors
///
/// [`PgError`].
pub async fn forget(tx: &mut SystemTx, customer: &str, prices: &PriceTable) -> Result<(), PgError> {
    let realm = |livemode| Realm { account: OWN_ACCOUNT, livemode, customer };
    // Events of either mode are waited for: one that has found the link must not be applied without it.
    realm(false).lock(tx).await?;
    realm(true).lock(tx).await?;
    match realm(false).tenant(tx).await? {
        Some(tenant) => realm(false).unlink(tx, tenant, prices).await,
        None => Ok(()),
    }
}

/// Why a customer was not linked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The customer pays for another tenant.
    #[error("customer is linked to another tenant")]
    Taken,
}
