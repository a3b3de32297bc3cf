//! A provider's customer, and the lock by which one transaction at a time works on it.

use crate::pg::{PgError, SystemTx};

/// The SQL that takes a customer's lock until the transaction ends, over a row of the columns `provider`, `account`,
/// `livemode` and `customer_id`. Every transaction that takes the lock uses this text, so that the keys cannot differ.
macro_rules! lock_customer {
    () => {
        "pg_advisory_xact_lock(hashtextextended('mt ' || provider || ' ' || account || ' ' \
             || livemode::text || ' ' || customer_id, 0))"
    };
}
pub(super) use lock_customer;

/// A customer as a provider names it.
///
/// The ledger applies the events of one customer one at a time: it locks the customer in the transaction that holds
/// the effect. A transaction that writes to a customer's rows without an event takes the same [`lock`](Self::lock).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Customer<'c> {
    /// The provider's name in the ledger.
    pub provider: &'c str,
    /// The connected account that the customer belongs to; empty for the platform's own.
    pub account: &'c str,
    /// Whether the customer pays real money.
    pub livemode: bool,
    /// The provider's identifier of the customer.
    pub id: &'c str,
}

impl Customer<'_> {
    /// Waits until no other transaction holds the customer, and holds it until `tx` ends.
    ///
    /// Locks are taken in one order: the row of the event, the customer, the tenant.
    ///
    /// # Errors
    ///
    /// [`PgError`], also if another transaction holds the customer for longer than the lock timeout.
    pub async fn lock(self, tx: &mut SystemTx) -> Result<(), PgError> {
        sqlx::query(concat!(
            "select ",
            lock_customer!(),
            " from (values ($1::text, $2::text, $3::boolean, $4::text)) \
                 as customer (provider, account, livemode, customer_id)"
        ))
        .bind(self.provider)
        .bind(self.account)
        .bind(self.livemode)
        .bind(self.id)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}
