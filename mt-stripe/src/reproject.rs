//! Projecting tenants again after the price table has changed.
//!
//! What is stored of a subscription names prices, and the table says what they buy. Each projection
//! notes the table that it was made with, by its [fingerprint](PriceTable::fingerprint); so whose note
//! says something else is projected again, and who was done is not looked at twice. Run it when a server
//! starts, and again whenever you like: with nothing to do it is one look at an index. While old and new
//! replicas run side by side, each projects with its own table, and the next run puts that right.
//!
//! ```no_run
//! use mt_core::pg::{PgError, SystemPool};
//! use mt_stripe::projection::PriceTable;
//! use mt_stripe::reproject::reproject;
//!
//! # async fn run(system: SystemPool) -> Result<(), PgError> {
//! let prices = PriceTable::new("free").plan("pro", ["price_pro", "price_of_next_year"]);
//! let tenants = reproject(&system, &prices).await?;
//! # drop(tenants);
//! # Ok(())
//! # }
//! ```

use mt_core::pg::{PgError, SystemPool, SystemReason, SystemTx};
use uuid::Uuid;

use crate::PROVIDER;
use crate::projection::PriceTable;
use crate::state::{self, Realm};

const FIND: SystemReason = SystemReason::new("find tenants projected with another price table");
const PROJECT: SystemReason = SystemReason::new("project a tenant with the present price table");

/// How many are looked up at a time. Each is projected in a transaction of its own.
const BATCH: i64 = 500;

/// Projects every tenant whose last projection was made with another table, and says how many.
///
/// # Errors
///
/// [`PgError`]; those that were done before stay done, and the next run goes on with the rest.
pub async fn reproject(system: &SystemPool, prices: &PriceTable) -> Result<u64, PgError> {
    let fingerprint = prices.fingerprint();
    let (mut after, mut done) = (Uuid::nil(), 0);
    loop {
        let mut tx = system.begin(FIND).await?;
        let outdated = outdated(&mut tx, &fingerprint, after).await?;
        tx.commit().await?;
        let Some(last) = outdated.last() else { return Ok(done) };
        after = last.tenant;
        for customer in &outdated {
            let mut tx = system.begin(PROJECT).await?;
            // A projection reads the rows of either mode: a customer has those of one.
            let realm =
                Realm { account: &customer.account, livemode: false, customer: &customer.customer };
            if state::hold_tenant(&mut tx, customer.tenant).await? {
                realm.project(&mut tx, customer.tenant, prices).await?;
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
    fingerprint: &str,
    after: Uuid,
) -> Result<Vec<Outdated>, PgError> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select tenant_id, account, customer_id from mt.billing_customers \
         where provider = $1 and projected_with <> $2 and tenant_id > $3 \
         order by tenant_id limit $4",
    )
    .bind(PROVIDER)
    .bind(fingerprint)
    .bind(after)
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await?;
    let outdated = |(tenant, account, customer)| Outdated { tenant, account, customer };
    Ok(rows.into_iter().map(outdated).collect())
}
