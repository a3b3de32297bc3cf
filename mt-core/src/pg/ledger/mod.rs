//! The webhook ledger: it stores every verified event once and applies it once.
//!
//! ```text
//!            insert                lease                  effect and mark, one transaction
//! delivery ─────────→ received ─────────→ processing ──────────────────────→ processed | ignored
//!     └ again: counted    ↑                  │  ↑  └ deferred or failed
//!                         │        lease over│  │         ↓
//!                         └── replay ────────┼──┴─ due ─ failed ─ too many attempts, or too old ─→ dead
//!                                            └ leased alone, and never ended, too often ─────────→ dead
//! ```
//!
//! * **No event is lost.** A delivery is acknowledged after the insert was committed, and not before.
//! * **No event is applied twice.** An event is one row, however often it is delivered. Its effect and its mark are one
//!   transaction, fenced by the token of the lease: an attempt that has lost its lease commits nothing.
//! * **No event blocks others.** An attempt is counted when it begins, so an event that kills its process runs out of
//!   attempts like any other, by itself. Events of one customer are applied one at a time, those of different
//!   customers concurrently.
//! * **The history is complete.** Each attempt, and each replay with the operator who asked for it, stays in the
//!   [`history`]. Bodies are deleted after a while, if [`Workers`] say so.
//!
//! The ledger knows no provider. A [`Provider`] says what an event means; `mt-stripe` has one.
//!
//! # Deployment
//!
//! At least one process has to [`work`](Ledger::work); any number may. The database's clock measures leases. When an
//! attempt takes longer than its lease, another one takes the event over as soon as the first transaction releases the
//! row. The effect is still committed at most once, but the time is wasted, so let [`lease`](RetryPolicy::lease) be long
//! compared with an effect.
//!
//! # Example
//!
//! A provider whose events add credits:
//!
//! ```no_run
//! use mt_core::pg::ledger::{
//!     Failure, Filter, LeasedEvent, Ledger, NewEvent, Outcome, Provider, RetryPolicy, Workers, list,
//! };
//! use mt_core::pg::{Database, PgError, SystemReason, SystemTx};
//!
//! struct Acme;
//!
//! /// An event whose signature was verified. Its field is private to the module that verifies.
//! struct SignedEvent(NewEvent);
//!
//! impl From<SignedEvent> for NewEvent {
//!     fn from(event: SignedEvent) -> Self {
//!         event.0
//!     }
//! }
//!
//! impl Provider for Acme {
//!     const NAME: &'static str = "acme";
//!     type Event = SignedEvent;
//!     type Prepared = u32;
//!
//!     async fn prepare(&self, event: &LeasedEvent) -> Result<u32, Outcome> {
//!         let amount = std::str::from_utf8(&event.body).ok().and_then(|text| text.parse().ok());
//!         amount.ok_or(Outcome::Dead(Failure::new("malformed", "the event has no amount")))
//!     }
//!
//!     async fn apply(&self, tx: &mut SystemTx, event: &LeasedEvent, amount: u32) -> Result<Outcome, PgError> {
//!         // A natural key makes a replay change nothing.
//!         sqlx::query("insert into app.credits (id, amount) values ($1, $2) on conflict do nothing")
//!             .bind(&event.event.event_id)
//!             .bind(i64::from(amount))
//!             .execute(tx.conn())
//!             .await?;
//!         Ok(Outcome::Processed)
//!     }
//! }
//!
//! # async fn run(database: Database) -> Result<(), PgError> {
//! let ledger = Ledger::new(database.system(), Acme, RetryPolicy::default());
//! let working = tokio::spawn({
//!     let ledger = ledger.clone();
//!     async move { ledger.work(Workers::default(), std::future::pending()).await }
//! });
//! // In the HTTP handler, after the check of the signature:
//! let event = SignedEvent(NewEvent::new("evt_1", "credit.added", "12"));
//! let receipt = ledger.receive(event).await?;
//! println!("{:?}, delivered before: {}", receipt.status, receipt.duplicate);
//!
//! let mut tx = database.system().begin(SystemReason::new("list webhook events")).await?;
//! let newest = list(&mut tx, Acme::NAME, &Filter::default(), None, 50).await?;
//! # tx.commit().await?; drop(newest); working.abort();
//! # Ok(())
//! # }
//! ```

mod batch;
mod customer;
mod event;
mod history;
mod lease;
mod new_event;
pub mod outbox;
mod policy;
mod protocol;
mod provider;
mod replay;
mod retention;
mod settle;
mod stats;
mod step;
mod store;
mod wake;
mod worker;

pub use self::customer::Customer;
pub use self::event::{EventStatus, Filter, LedgerEvent, body, find, list};
pub use self::history::{HistoryEntry, history};
pub use self::lease::LeasedEvent;
pub use self::new_event::NewEvent;
pub use self::policy::LedgerPolicy;
pub use self::protocol::{Ledger, Received};
pub use self::provider::{Outcome, Provider};
pub use self::replay::{ReplayError, ReplayRequest};
pub use self::stats::{Backlog, LedgerStats};
#[cfg(feature = "testing")]
pub use self::step::Step;
pub use self::wake::{wake, wake_held};
pub use self::worker::Workers;
pub use crate::pg::work::failure::Failure;
pub use crate::pg::work::retry::RetryPolicy;
