//! Who sends events, and what they mean.

use std::future::Future;
use std::time::Duration;

use super::Claimed;
use crate::pg::{PgError, SystemTx};

/// One sender of webhooks: what its events do to the database.
///
/// The [`Ledger`](super::Ledger) does all the rest. See the [module docs](super) for an example.
pub trait Provider: Send + Sync + 'static {
    /// What the ledger calls it. It is stored with each event, so it never changes.
    const NAME: &'static str;

    /// What [`prepare`](Self::prepare) hands to [`apply`](Self::apply): most often the body, parsed.
    type Prepared: Send;

    /// What can be done without a transaction: reading the body, asking the provider for more.
    ///
    /// # Errors
    ///
    /// The outcome, when that decides it: nothing will be applied.
    fn prepare(
        &self,
        event: &Claimed,
    ) -> impl Future<Output = Result<Self::Prepared, Outcome>> + Send;

    /// The effect, in the transaction that also marks the event.
    ///
    /// It is alone with the event, and with the event's customer if there is one. What it writes is
    /// committed with [`Outcome::Processed`] and with [`Outcome::Ignored`], and taken back otherwise.
    /// What cannot be taken back, such as a mail, goes through the [`outbox`](super::outbox).
    ///
    /// # Errors
    ///
    /// [`PgError`]: everything is rolled back, and tried again later.
    fn apply(
        &self,
        tx: &mut SystemTx,
        event: &Claimed,
        prepared: Self::Prepared,
    ) -> impl Future<Output = Result<Outcome, PgError>> + Send;
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It can never be applied as it is, for example because its body is malformed: dead at once, without
    /// further attempts. An operator may replay it, after an update of the provider for instance.
    Dead(Setback),
    /// It broke: tried again up to [`RetryPolicy::max_attempts`](super::RetryPolicy::max_attempts).
    Failed(Setback),
    /// There is nothing to apply, and why, in a word.
    Ignored(&'static str),
    /// Its effect is in this transaction.
    Processed,
    /// Something is not there yet: tried again for as long as
    /// [`RetryPolicy::patience`](super::RetryPolicy::patience).
    Waiting(Setback),
}

/// Why an event could not be applied now.
///
/// ```
/// use std::time::Duration;
///
/// use mt_core::pg::ledger::{Outcome, Setback};
///
/// let busy = Setback::new("rate_limited", "they ask for fewer requests")
///     .not_before(Duration::from_secs(30));
/// let outcome = Outcome::Waiting(busy);
/// # drop(outcome);
/// ```
#[derive(Clone, Debug)]
pub struct Setback {
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) not_before: Duration,
}

impl Setback {
    /// Why, in a word, and in a line that holds nothing of the body.
    #[must_use]
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), not_before: Duration::ZERO }
    }

    /// The next attempt waits for at least so long: somebody asked to be left alone.
    #[must_use]
    pub fn not_before(mut self, wait: Duration) -> Self {
        self.not_before = wait;
        self
    }
}
