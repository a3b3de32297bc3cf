//! The port of a payment provider.

use std::future::Future;

use crate::billing::Purchases;
use crate::pg::ledger::Customer;
use crate::pg::{PgError, SystemTx};

/// A payment provider whose purchases are projected onto tenants.
pub trait BillingProvider: Send + Sync {
    /// The provider's name, in the ledger and in every table of billing. It is stored, so it never changes.
    const NAME: &'static str;

    /// Reads everything that is stored of a customer's subscriptions and invoices, in either mode.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    fn purchases(
        tx: &mut SystemTx,
        customer: Customer<'_>,
    ) -> impl Future<Output = Result<Purchases, PgError>> + Send;
}
