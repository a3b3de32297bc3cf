//! The parsed event of a delivery, read without trusting its shape.
//!
//! Stripe renders an event in the API version of the endpoint that it is sent to, and fields have moved between
//! versions several times. So fields are looked for in every place where a version has had them,
//! [`api_version`](Event::api_version) is kept for operators, and an unknown type is data and not an error.
//!
//! A *thin* event (`v2.core.event`) names the object that changed and does not show it. It is a hint to fetch the
//! object ([`asks_about`](Event::asks_about)). An endpoint that gets both kinds gets two events for one change, which
//! share a [`dedupe_key`](Event::dedupe_key).

mod kind;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use self::kind::EventKind;
use self::kind::Subject;
use crate::checkout_session::CheckoutSession;
use crate::invoice::Invoice;
use crate::json::{customer, instant, reference_at, says_no_customer, word};
use crate::order::Rank;
use crate::subscription::{self, SubscriptionChange};

/// The envelope of an event and the object that it is about.
///
/// An `Event` proves nothing: anybody can write one. The ledger takes only a [`VerifiedEvent`](crate::VerifiedEvent).
///
/// ```
/// use mt_stripe::event::{Effect, Event};
///
/// let event = Event::parse(br#"{"id": "evt_1", "type": "customer.created"}"#)?;
/// assert_eq!(event.id(), "evt_1");
/// assert!(matches!(event.effect(), Effect::None("unhandled_type")));
/// # Ok::<(), mt_stripe::event::EventError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    id: String,
    kind: String,
    envelope: Value,
}

/// The effect of an event.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A Checkout session was completed.
    Checkout(CheckoutSession),
    /// A customer was deleted. Its subscriptions are canceled, and it can buy nothing more.
    CustomerDeleted,
    /// An invoice changed: the invoice as it was when the event was made.
    Invoice(Invoice),
    /// The effect is unknown, because the object lacks a field that it needs: which one, in words that hold nothing of
    /// the object.
    Malformed(&'static str),
    /// The event has no effect, and why, in a word for the ledger.
    None(&'static str),
    /// A subscription changed: the subscription as it was when the event was made.
    Subscription(SubscriptionChange),
}

impl Event {
    /// Parses the body of a delivery.
    ///
    /// # Errors
    ///
    /// [`EventError`]: not JSON, or no event.
    pub fn parse(body: &[u8]) -> Result<Self, EventError> {
        let envelope: Value = serde_json::from_slice(body).map_err(EventError::BadJson)?;
        let field = |name| envelope.get(name).and_then(word).map(str::to_owned);
        let id = field("id").ok_or(EventError::NotAnEvent("id"))?;
        let kind = field("type").ok_or(EventError::NotAnEvent("type"))?;
        Ok(Self { id, kind, envelope })
    }

    /// The event's identifier: the same in each delivery of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The type, such as `invoice.paid`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// When Stripe made the event, to the second. Several events share one second, so this does not order them.
    #[must_use]
    pub fn created(&self) -> Option<DateTime<Utc>> {
        instant(self.envelope.get("created")?)
    }

    /// The connected account that the event belongs to; `None` for the platform's own.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.envelope.get("account").and_then(word)
    }

    /// Whether the event is about real money; `false` if the envelope does not say.
    #[must_use]
    pub fn livemode(&self) -> bool {
        self.envelope.get("livemode").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The API version in which the event is rendered. It is for operators: no code depends on it.
    #[must_use]
    pub fn api_version(&self) -> Option<&str> {
        self.envelope.get("api_version").and_then(word)
    }

    /// Whether it only names an object instead of showing it (`v2.core.event`).
    #[must_use]
    pub fn is_thin(&self) -> bool {
        self.envelope.get("object").and_then(Value::as_str) == Some("v2.core.event")
    }

    /// The snapshot event that was made for the same change, where a thin event names one.
    #[must_use]
    pub fn snapshot_event(&self) -> Option<&str> {
        self.envelope.get("snapshot_event").filter(|_| self.is_thin()).and_then(word)
    }

    /// The same for a thin event and for the snapshot event that was made for the same change.
    ///
    /// A snapshot that is stored makes its thin twin needless. Not the other way round: the twin would
    /// keep what it does not show from being seen.
    ///
    /// ```
    /// use mt_stripe::event::Event;
    ///
    /// let full = Event::parse(br#"{"id": "evt_1", "type": "customer.subscription.updated"}"#)?;
    /// let thin = Event::parse(br#"{"id": "evt_2", "object": "v2.core.event",
    ///     "type": "v1.customer.subscription.updated", "snapshot_event": "evt_1",
    ///     "related_object": {"id": "sub_1", "type": "subscription"}}"#)?;
    /// assert_eq!(thin.dedupe_key(), full.dedupe_key());
    /// assert_eq!((thin.asks_about(), full.asks_about()), (Some("sub_1"), None));
    /// # Ok::<(), mt_stripe::event::EventError>(())
    /// ```
    #[must_use]
    pub fn dedupe_key(&self) -> &str {
        self.snapshot_event().unwrap_or(&self.id)
    }

    /// The subscription that a thin event says has changed.
    #[must_use]
    pub fn asks_about(&self) -> Option<&str> {
        let related = self.envelope.get("related_object").filter(|_| self.is_thin())?;
        let kind = related.get("type").and_then(word)?;
        related.get("id").and_then(word).filter(|_| kind == "subscription")
    }

    /// The identifier of the object that it is about. `invoice.upcoming` has none.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        let pointer = if self.is_thin() { "/related_object" } else { "/data/object" };
        reference_at(&self.envelope, pointer)
    }

    /// The customer that the object belongs to, or that is the object.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        let object = self.object()?;
        let is_customer = self.kind == EventKind::CustomerDeleted.as_str()
            || object.get("object").and_then(Value::as_str) == Some("customer");
        if is_customer { object.get("id").and_then(word) } else { customer(object) }
    }

    /// The effect of the event.
    #[must_use]
    pub fn effect(&self) -> Effect {
        if self.is_thin() {
            // It does not show the object.
            return Effect::None("thin_event");
        }
        let Some(kind) = EventKind::parse(&self.kind) else {
            return Effect::None("unhandled_type");
        };
        let Some(object) = self.object() else { return Effect::Malformed("it has no object") };
        let has_id = object.get("id").and_then(word).is_some();
        match kind.subject() {
            Subject::CheckoutSession if !has_id => Effect::Malformed("the session has no `id`"),
            Subject::CheckoutSession => {
                CheckoutSession::read(object).map_or(Effect::None(NO_CUSTOMER), Effect::Checkout)
            }
            Subject::Customer if !has_id => Effect::Malformed("the customer has no `id`"),
            Subject::Customer => Effect::CustomerDeleted,
            Subject::Invoice(status) => {
                Invoice::read(object, status, kind == EventKind::InvoicePaymentFailed)
                    .map_or(Effect::Malformed("the invoice has no `id`"), Effect::Invoice)
            }
            Subject::Subscription(rank) => {
                let previous = self.envelope.pointer("/data/previous_attributes");
                match subscription::flaw(object, rank == Rank::Deleted) {
                    Some(flaw) => Effect::Malformed(flaw),
                    None => SubscriptionChange::read(object, previous, rank)
                        .map_or(Effect::None("no_subscription_id"), Effect::Subscription),
                }
            }
        }
    }

    /// Why the event cannot be applied as it is, now or later, in words that hold nothing of it; `None` for
    /// an event that can, or that asks for nothing.
    ///
    /// ```
    /// use mt_stripe::event::Event;
    ///
    /// let event = Event::parse(br#"{"id": "evt_1", "type": "invoice.paid",
    ///     "data": {"object": {"id": "in_1", "customer": "cus_1"}}}"#)?;
    /// assert_eq!(event.flaw(), Some("it has no usable `created`"));
    /// # Ok::<(), mt_stripe::event::EventError>(())
    /// ```
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        match self.effect() {
            Effect::Malformed(flaw) => Some(flaw),
            Effect::None(reason) if reason != NO_CUSTOMER => None,
            _ if self.created().is_none() => Some("it has no usable `created`"),
            _ if self.customer().is_some() || self.object().is_some_and(says_no_customer) => None,
            _ => Some("the object has no usable `customer`"),
        }
    }

    pub(crate) fn object(&self) -> Option<&Value> {
        self.envelope.pointer("/data/object").filter(|object| object.is_object())
    }
}

/// The reason to ignore an event that is about no customer.
pub(crate) const NO_CUSTOMER: &str = "no_customer";

/// Why a body is not an event. An answer may show it: only a sender with the secret gets this far.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON in UTF-8.
    #[error("the body is not JSON")]
    BadJson(#[source] serde_json::Error),
    /// JSON without a usable field that each event has.
    #[error("the event has no `{0}`")]
    NotAnEvent(&'static str),
}

#[cfg(test)]
mod tests;
