//! Projection onto tenants: reconciliation with Stripe, and changes of the price table.

mod price_change;
mod reconcile;
