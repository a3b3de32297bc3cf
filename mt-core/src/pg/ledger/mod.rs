//! The webhook ledger: what a provider has told us, and what became of it.
//!
//! ```text
//! record ─→ received ─ claim ─→ processing ─ settle ─→ processed | ignored
//!                        ↑           │
//!                        └── due ── failed ─ out of attempts or time ─→ dead
//! ```
//!
//! * **Nothing is lost.** A delivery is acknowledged after [`record`] was committed, and not before.
//! * **Nothing is doubled.** An event is one row, however often it is delivered. Its effect and
//!   [`settle`] are one transaction, fenced by the token of the claim: whoever has lost the lease
//!   commits nothing.
//! * **Nothing blocks.** An attempt is counted when it begins, so that an event that kills its process
//!   runs out of attempts like any other; the rest go on.
//!
//! It knows no provider. What an event means is for a crate such as `mt-stripe`.

mod claim;
mod event;
mod record;

pub use self::claim::{Claimed, Outcome, RetryPolicy, Which, claim, hold, settle};
pub use self::event::{EventStatus, LedgerEvent, find, list};
pub use self::record::{Delivery, Recorded, record, requeue, wake};
