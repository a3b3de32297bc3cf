//! Reading what is stored of a customer.

use mt_core::billing::Purchases;
use mt_core::pg::ledger::Customer;
use mt_core::pg::{PgError, SystemTx};
use sqlx::Row as _;
use sqlx::types::Json;

use crate::PROVIDER;
use crate::invoice::InvoiceState;
use crate::known::{Fetched, KnownSubscription};
use crate::order::SubscriptionState;

/// Invoices are read only where no snapshot of their subscription is known, and unless they say that they belong to
/// none: the others count for nothing. Both modes are named, and not left out, because the index has the mode before the
/// customer.
const KNOWN: &str = "\
    select 's' as kind, s.state, s.fetched, s.subscription_id as id \
    from mt.subscriptions s where s.provider = $1 and s.account = $2 \
        and s.livemode = any ('{false,true}') and s.customer_id = $3 \
    union all \
    select 'i', i.state, null, i.invoice_id \
    from mt.invoices i where i.provider = $1 and i.account = $2 \
        and i.livemode = any ('{false,true}') and i.customer_id = $3 \
        and not (i.subscription_id is null and i.state @> '{\"one_off\": true}') \
        and not exists (select 1 from mt.subscriptions s \
            where s.provider = $1 and s.account = $2 \
                and s.livemode = any ('{false,true}') and s.customer_id = $3 \
                and s.subscription_id = i.subscription_id) \
    order by 1, 4";

/// Reads all subscriptions of a customer, and the invoices that may stand in for one.
pub(crate) async fn purchases(
    tx: &mut SystemTx,
    customer: Customer<'_>,
) -> Result<Purchases, PgError> {
    let rows = sqlx::query(KNOWN)
        .bind(PROVIDER)
        .bind(customer.account)
        .bind(customer.id)
        .fetch_all(tx.conn())
        .await?;
    let mut purchases = Purchases::default();
    for row in rows {
        if row.try_get::<&str, _>("kind")? == "s" {
            let Json(state): Json<SubscriptionState> = row.try_get("state")?;
            let fetched: Option<Json<Fetched>> = row.try_get("fetched")?;
            let known = KnownSubscription::stored(state, fetched.map(|Json(fetched)| fetched));
            purchases.subscriptions.extend(known.snapshot());
        } else {
            let Json(state): Json<InvoiceState> = row.try_get("state")?;
            purchases.invoices.push(state.snapshot());
        }
    }
    Ok(purchases)
}
