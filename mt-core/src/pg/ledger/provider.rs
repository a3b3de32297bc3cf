//! The port through which a provider of webhooks plugs into the ledger.

use std::future::Future;

use super::{Failure, LeasedEvent, NewEvent};
use crate::pg::{PgError, SystemTx};

/// One sender of webhooks: the events it sends and what they do to the database.
///
/// The [`Ledger`](super::Ledger) does all the rest. See the [module docs](super) for an example.
pub trait Provider: Send + Sync + 'static {
    /// The provider's name in the ledger. It is stored with each event, so it never changes.
    const NAME: &'static str;

    /// An event whose signature was verified: the only thing that the provider's ledger takes.
    ///
    /// Make the type so that only the check of a signature returns one.
    type Event: Into<NewEvent> + Send;

    /// The value that [`prepare`](Self::prepare) hands to [`apply`](Self::apply), for example the parsed body.
    type Prepared: Send;

    /// Does what needs no transaction: parses the body, asks the provider for more.
    ///
    /// # Errors
    ///
    /// The outcome, if it is known already: [`apply`](Self::apply) is not called then.
    fn prepare(
        &self,
        event: &LeasedEvent,
    ) -> impl Future<Output = Result<Self::Prepared, Outcome>> + Send;

    /// Applies the event, in the transaction that also marks it.
    ///
    /// The transaction holds the event, and the event's customer if it has one. Its writes are committed with
    /// [`Outcome::Processed`] and [`Outcome::Ignored`], and rolled back otherwise. A side effect that cannot be
    /// rolled back, such as an e-mail, goes through the [`outbox`](super::outbox).
    ///
    /// # Errors
    ///
    /// [`PgError`]: everything is rolled back, and tried again later.
    fn apply(
        &self,
        tx: &mut SystemTx,
        event: &LeasedEvent,
        prepared: Self::Prepared,
    ) -> impl Future<Output = Result<Outcome, PgError>> + Send;
}

/// The outcome of an attempt, as the provider sees it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The event can never be applied as it is, for example because its body is malformed. It is dead at once,
    /// without further attempts. An operator may replay it, for example after an update of the provider.
    Dead(Failure),
    /// Something that the event needs is not there yet. It is tried again for as long as
    /// [`RetryPolicy::max_age`](super::RetryPolicy::max_age).
    Deferred(Failure),
    /// The attempt failed. It is tried again up to
    /// [`RetryPolicy::max_attempts`](super::RetryPolicy::max_attempts).
    Failed(Failure),
    /// The event has no effect, and why, in a word.
    Ignored(&'static str),
    /// The effect is in the transaction.
    Processed,
}
