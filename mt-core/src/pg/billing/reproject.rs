//! Projecting tenants again after the price table has changed.

use uuid::Uuid;

use super::{BillingProvider, hold_tenant};
use crate::billing::PriceTable;
use crate::pg::ledger::Customer;
use crate::pg::{PgError, System, SystemReason, SystemTx};

const FIND: SystemReason = SystemReason::new("find tenants projected with another price table");
const PROJECT: SystemReason = SystemReason::new("project a tenant with the present price table");

/// How many tenants are looked up at a time. Each is projected in a transaction of its own.
const BATCH: i64 = 500;

/// Projects every tenant whose last projection was made with another price table, and returns how many.
///
/// A stored subscription names prices, and the table says which plans they buy. Each projection records the
/// [fingerprint](PriceTable::fingerprint) of its table, so tenants that are up to date are not read again. Call this
/// when a server starts; with nothing to do it is one look at an index. While old and new replicas run side by side,
/// each projects with its own table, and the next call corrects that.
///
/// ```no_run
/// use mt_core::billing::PriceTable;
/// use mt_core::pg::billing::{BillingProvider, reproject};
/// use mt_core::pg::{PgError, System};
///
/// # async fn run<B: BillingProvider>(system: System) -> Result<(), PgError> {
/// let prices = PriceTable::new("free").plan("pro", ["price_pro", "price_of_next_year"]);
/// let tenants = reproject::<B>(&system, &prices).await?;
/// # drop(tenants);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`PgError`]; tenants that were projected before stay so, and the next call continues with the rest.
pub async fn reproject<B: BillingProvider>(
    system: &System,
    prices: &PriceTable,
) -> Result<u64, PgError> {
    let fingerprint = prices.fingerprint();
    let (mut after, mut done) = (Uuid::nil(), 0);
    loop {
        let mut tx = system.begin(FIND).await?;
        let outdated = outdated(&mut tx, B::NAME, &fingerprint, after).await?;
        tx.commit().await?;
        let Some(last) = outdated.last() else { return Ok(done) };
        after = last.tenant;
        for one in &outdated {
            let mut tx = system.begin(PROJECT).await?;
            // Purchases are read in either mode, and a customer has those of one.
            let (account, id) = (one.account.as_str(), one.customer.as_str());
            let customer = Customer { provider: B::NAME, account, livemode: false, id };
            if hold_tenant(&mut tx, one.tenant).await? {
                let purchases = B::purchases(&mut tx, customer).await?;
                customer.project(&mut tx, one.tenant, &purchases, prices).await?;
                tx.commit().await?;
                done += 1;
            }
        }
    }
}

struct Outdated {
    tenant: Uuid,
    account: String,
    customer: String,
}

async fn outdated(
    tx: &mut SystemTx,
    provider: &str,
    fingerprint: &str,
    after: Uuid,
) -> Result<Vec<Outdated>, PgError> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select tenant_id, account, customer_id from mt.billing_customers \
         where provider = $1 and projected_with <> $2 and tenant_id > $3 \
         order by tenant_id limit $4",
    )
    .bind(provider)
    .bind(fingerprint)
    .bind(after)
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await?;
    let outdated = |(tenant, account, customer)| Outdated { tenant, account, customer };
    Ok(rows.into_iter().map(outdated).collect())
}
