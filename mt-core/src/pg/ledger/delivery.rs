//! What a provider has sent.

use chrono::{DateTime, Utc};

/// A verified delivery, with what its envelope says.
///
/// ```
/// use mt_core::pg::ledger::Delivery;
///
/// let delivery = Delivery {
///     customer_id: Some("cus_1".to_owned()),
///     ..Delivery::new("evt_1", "invoice.paid", b"{}")
/// };
/// assert!(!delivery.livemode);
/// ```
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What its sender calls the event: the same in each delivery of it.
    pub event_id: String,
    /// Their type.
    pub kind: String,
    /// The connected account that it is about; empty for our own.
    pub account: String,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The version that it is rendered in.
    pub api_version: Option<String>,
    /// When they made it.
    pub created: Option<DateTime<Utc>>,
    /// What it is about.
    pub object_id: Option<String>,
    /// Whose that is. Events of one customer are applied one at a time.
    pub customer_id: Option<String>,
    /// The bytes, as received.
    pub body: Vec<u8>,
}

impl Delivery {
    /// A delivery of which no more is known.
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
