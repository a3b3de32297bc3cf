//! The webhook ledger: what a provider has told us, and what became of it.
//!
//! ```text
//!            insert                claim                  effect and mark, one transaction
//! delivery ─────────→ received ─────────→ processing ──────────────────────→ processed | ignored
//!     └ again: counted    ↑                  │  ↑  └ not now, or it broke
//!                         │         lease over│  │         ↓
//!                         └── replay ─────────┼──┴─ due ─ failed ─ out of attempts or patience ─→ dead
//!                                             └ alone and too often ──────────────────────────→ dead
//! ```
//!
//! * **Nothing is lost.** A delivery is acknowledged after the insert was committed, and not before.
//! * **Nothing is doubled.** An event is one row, however often it is delivered. Its effect and its mark
//!   are one transaction, fenced by the token of the claim: whoever has lost the lease commits nothing.
//! * **Nothing blocks.** An attempt is counted when it begins, so that an event which kills its process
//!   runs out of attempts like any other, by itself; the rest go on. Events of one customer are applied
//!   one at a time, those of others beside them.
//! * **Nothing is forgotten.** Each attempt, and each replay with who asked for it, stays in the
//!   [`history`]. Bodies go after a while, if [`Workers`] say so.
//!
//! It knows no provider. What an event means is for a [`Provider`], of which `mt-stripe` has one.
//!
//! # Deployment
//!
//! Some process has to [`work`](Ledger::work); any number of them may. Leases are measured by the
//! database's clock. An attempt that takes longer than its lease is taken over as soon as its transaction
//! lets go of the row: it commits once or not at all, but time is wasted, so let
//! [`lease`](RetryPolicy::lease) be long against what an effect takes.
//!
//! # Example
//!
//! A provider whose events are counted, applied and listed:
//!
//! ```no_run
//! use mt_core::pg::ledger::{
//!     Claimed, Delivery, Filter, Ledger, Outcome, Provider, RetryPolicy, Workers, list,
//! };
//! use mt_core::pg::{Database, PgError, SystemReason, SystemTx};
//!
//! struct Acme;
//!
//! impl Provider for Acme {
//!     const NAME: &'static str = "acme";
//!     type Prepared = u32;
//!
//!     async fn prepare(&self, event: &Claimed) -> Result<u32, Outcome> {
//!         let amount = std::str::from_utf8(&event.body).ok().and_then(|text| text.parse().ok());
//!         amount.ok_or(Outcome::Ignored("no_amount"))
//!     }
//!
//!     async fn apply(&self, tx: &mut SystemTx, event: &Claimed, amount: u32) -> Result<Outcome, PgError> {
//!         // Under a natural key: a replay finds it there.
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
//! // In the handler, once the signature stands:
//! let receipt = ledger.receive(Delivery::new("evt_1", "credit.added", "12")).await?;
//! println!("{:?}, known before: {}", receipt.status, receipt.duplicate);
//!
//! let mut tx = database.system().begin(SystemReason::new("list webhook events")).await?;
//! let newest = list(&mut tx, Acme::NAME, &Filter::default(), None, 50).await?;
//! # tx.commit().await?; drop(newest); working.abort();
//! # Ok(())
//! # }
//! ```

mod claim;
mod delivery;
mod event;
mod history;
mod intake;
pub mod outbox;
mod policy;
mod protocol;
mod provider;
mod replay;
mod retention;
mod settle;
mod stats;
mod steps;
mod stop;
mod store;
mod wake;
mod worker;

pub use self::claim::Claimed;
pub use self::delivery::Delivery;
pub use self::event::{EventStatus, Filter, LedgerEvent, body, find, list};
pub use self::history::{HistoryEntry, history};
pub use self::policy::RetryPolicy;
pub use self::protocol::{Ledger, Receipt};
pub use self::provider::{Outcome, Provider, Setback};
pub use self::replay::{ReplayError, ReplayRequest};
pub use self::stats::{Backlog, LedgerStats};
#[cfg(feature = "testing")]
pub use self::steps::Step;
pub use self::wake::{wake, wake_held};
pub use self::worker::Workers;
