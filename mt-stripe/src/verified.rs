//! An event whose signature was verified.

use mt_core::pg::ledger::NewEvent;

use crate::event::{Event, EventError};

/// A delivery that Stripe has signed: its body, and the event in it.
///
/// Only [`Verifier::verify`](crate::signature::Verifier::verify) returns one, and the ledger takes nothing else. So an
/// event that was not verified cannot be stored or applied: the code for it does not compile.
///
/// ```compile_fail,E0308
/// use mt_core::pg::ledger::Ledger;
/// use mt_stripe::Stripe;
/// use mt_stripe::event::Event;
///
/// async fn store(ledger: &Ledger<Stripe>, event: Event) {
///     let _ = ledger.receive(event).await;
/// }
/// ```
///
/// ```
/// use mt_core::pg::ledger::Ledger;
/// use mt_stripe::{Stripe, VerifiedEvent};
///
/// async fn store(ledger: &Ledger<Stripe>, event: VerifiedEvent) {
///     let _ = ledger.receive(event).await;
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedEvent {
    event: Event,
    body: Vec<u8>,
}

impl VerifiedEvent {
    /// Parses a body whose signature was checked.
    pub(crate) fn parse(body: Vec<u8>) -> Result<Self, EventError> {
        Ok(Self { event: Event::parse(&body)?, body })
    }

    /// Takes a delivery as genuine **without any check**: anyone who can reach the endpoint can then change what a
    /// tenant has paid for. Only for development and tests without a signing secret.
    ///
    /// # Errors
    ///
    /// [`EventError`]: the body is not an event.
    pub fn insecure_unsigned(body: impl Into<Vec<u8>>) -> Result<Self, EventError> {
        Self::parse(body.into())
    }

    /// The event.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The body, as received.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl From<VerifiedEvent> for NewEvent {
    fn from(verified: VerifiedEvent) -> Self {
        let VerifiedEvent { event, body } = verified;
        Self {
            account: event.account().unwrap_or_default().to_owned(),
            livemode: event.livemode(),
            api_version: event.api_version().map(str::to_owned),
            created: event.created(),
            object_id: event.object_id().map(str::to_owned),
            customer_id: event.customer().map(str::to_owned),
            ..Self::new(event.id(), event.kind(), body)
        }
    }
}
