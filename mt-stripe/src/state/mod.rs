//! What events come to, as stored: joined, read, projected, written.
//!
//! Locks are taken in one order: ledger row, customer, tenant, and then the rows of both.

pub(crate) mod answers;
mod former;
mod join;
mod projected;

use mt_core::pg::{PgError, SystemTx};
use uuid::Uuid;

use crate::PROVIDER;

/// Where a customer's rows are: theirs alone, in one account and one mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Realm<'r> {
    pub(crate) account: &'r str,
    pub(crate) livemode: bool,
    pub(crate) customer: &'r str,
}

impl Realm<'_> {
    /// Makes this transaction the only one at work on the customer, until it ends.
    pub(crate) async fn lock(self, tx: &mut SystemTx) -> Result<(), PgError> {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("mt {PROVIDER} {} {} {}", self.account, self.livemode, self.customer))
            .execute(tx.conn())
            .await?;
        Ok(())
    }

    /// The tenant that the customer pays for.
    pub(crate) async fn tenant(self, tx: &mut SystemTx) -> Result<Option<Uuid>, PgError> {
        Ok(sqlx::query_scalar(
            "select tenant_id from mt.billing_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_optional(tx.conn())
        .await?)
    }
}

/// Holds the tenant row, which comes before its children in the one order of locks. `false` if the
/// tenant is gone.
pub(crate) async fn hold_tenant(tx: &mut SystemTx, tenant: Uuid) -> Result<bool, PgError> {
    let found: Option<i32> =
        sqlx::query_scalar("select 1 from mt.tenants where id = $1 for no key update")
            .bind(tenant)
            .fetch_optional(tx.conn())
            .await?;
    Ok(found.is_some())
}
