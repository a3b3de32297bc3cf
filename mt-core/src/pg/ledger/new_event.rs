//! An event as it is handed to the ledger.

use chrono::{DateTime, Utc};

/// An event to store, with what its envelope says.
///
/// The ledger of a [`Provider`](super::Provider) takes the provider's own type of verified event and turns it into
/// one of these.
///
/// ```
/// use mt_core::pg::ledger::NewEvent;
///
/// let event = NewEvent {
///     customer_id: Some("cus_1".to_owned()),
///     ..NewEvent::new("evt_1", "invoice.paid", b"{}")
/// };
/// assert!(!event.livemode);
/// ```
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The provider's identifier of the event: the same in each delivery of it.
    pub event_id: String,
    /// The provider's type of the event.
    pub kind: String,
    /// The connected account that the event belongs to; empty for the platform's own.
    pub account: String,
    /// Whether the event is about real money.
    pub livemode: bool,
    /// The API version that the event is rendered in.
    pub api_version: Option<String>,
    /// When the provider made the event.
    pub created: Option<DateTime<Utc>>,
    /// The identifier of the object that the event is about.
    pub object_id: Option<String>,
    /// The customer that the object belongs to. Events of one customer are applied one at a time.
    pub customer_id: Option<String>,
    /// The body of the delivery, as received.
    pub body: Vec<u8>,
}

impl NewEvent {
    /// An event of which only the identifier, the type and the body are known.
    #[must_use]
    pub fn new(
        event_id: impl Into<String>,
        kind: impl Into<String>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            event_id: event_id.into(),
            kind: kind.into(),
            account: String::new(),
            livemode: false,
            api_version: None,
            created: None,
            object_id: None,
            customer_id: None,
            body: body.into(),
        }
    }
}
