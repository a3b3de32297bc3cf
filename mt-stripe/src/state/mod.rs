//! What events and answers of Stripe come to, as stored.
//!
//! Locks are taken in one order: ledger row, customer, tenant, and then the rows of both.

pub(crate) mod answers;
mod join;
mod purchases;

use mt_core::pg::ledger::Customer;

pub(crate) use self::join::{join_invoice, join_subscription};
pub(crate) use self::purchases::purchases;
use crate::PROVIDER;

/// A customer of Stripe.
pub(crate) const fn customer<'c>(account: &'c str, livemode: bool, id: &'c str) -> Customer<'c> {
    Customer { provider: PROVIDER, account, livemode, id }
}
