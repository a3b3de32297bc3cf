//! Billing without a payment provider: what a tenant has paid for, and whether it may write.
//!
//! ```text
//! provider's events ─ adapter ─→ SubscriptionSnapshot, InvoiceSnapshot ─ project(PriceTable) ─→ BillingState
//!     BillingState.status ─ StandingPolicy ─→ Standing
//! ```
//!
//! Everything here is a pure function. `pg::billing` (feature `postgres`) stores it; an adapter such as `mt-stripe`
//! verifies and orders the events of its provider.

mod claims;
mod prices;
mod projection;
mod snapshot;
mod standing;
mod status;

pub use self::claims::{Claims, Link};
pub use self::prices::PriceTable;
pub use self::projection::{BillingState, Flag, pays_for_a_plan, project};
pub use self::snapshot::{InvoiceSnapshot, Purchases, SubscriptionSnapshot};
pub use self::standing::{Standing, StandingPolicy};
pub use self::status::SubscriptionStatus;
