//! A verified delivery, read without trusting its shape.
//!
//! An event is rendered in the API version of the endpoint that it is sent to, and that version is
//! not ours to choose: fields have moved several times. So fields are looked for where any version
//! puts them, [`api_version`](Event::api_version) is kept for people to read, and an unknown type is
//! data and not an error.
//!
//! A *thin* event (`v2.core.event`) names what changed and does not show it. It says nothing that could
//! be projected; it is a hint to ask Stripe ([`asks_about`](Event::asks_about)). Where an endpoint gets
//! both kinds, both are made for one change, and share a [`dedupe_key`](Event::dedupe_key).

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::claim::CheckoutSession;
use crate::invoice::Invoice;
use crate::json::{customer, instant, reference_at, says_no_customer, word};
use crate::subscription::{self, SubscriptionChange};

/// The envelope of an event and the object that it is about.
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

/// What an event asks for.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A Checkout session that is complete.
    Checkout(CheckoutSession),
    /// A customer that Stripe has deleted. What it subscribed to is canceled, and it can buy nothing more.
    CustomerDeleted,
    /// An invoice as it was when the event was made.
    Invoice(Invoice),
    /// Something that cannot be told, because the object lacks what it needs to have: what that is, in words
    /// that hold nothing of the object.
    Malformed(&'static str),
    /// Nothing, and why, in a word for the ledger.
    None(&'static str),
    /// A subscription as it was when the event was made.
    Subscription(SubscriptionChange),
}

impl Event {
    /// Reads the body of a delivery whose signature stands.
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

    /// When Stripe made the event, to the second. Several share one, and their order is not theirs
    /// to tell.
    #[must_use]
    pub fn created(&self) -> Option<DateTime<Utc>> {
        instant(self.envelope.get("created")?)
    }

    /// The connected account that the event belongs to; `None` for the platform's own.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.envelope.get("account").and_then(word)
    }

    /// Whether it is about real money. An envelope that does not say is not.
    #[must_use]
    pub fn livemode(&self) -> bool {
        self.envelope.get("livemode").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The version in which the event is rendered. For people: no code decides on it.
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

    /// The customer whom the object belongs to, or who is the object.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        let object = self.object()?;
        let is_customer = self.kind == DELETED
            || object.get("object").and_then(Value::as_str) == Some("customer");
        if is_customer { object.get("id").and_then(word) } else { customer(object) }
    }

    /// What the event asks for.
    #[must_use]
    pub fn effect(&self) -> Effect {
        if self.is_thin() {
            // Names what changed and not into what.
            return Effect::None("thin_event");
        }
        if !is_handled(&self.kind) {
            return Effect::None("unhandled_type");
        }
        let Some(object) = self.object() else { return Effect::Malformed("it has no object") };
        match self.kind.as_str() {
            DELETED => match object.get("id").and_then(word) {
                Some(_) => Effect::CustomerDeleted,
                None => Effect::Malformed("the customer has no `id`"),
            },
            "checkout.session.completed" => match object.get("id").and_then(word) {
                Some(_) => CheckoutSession::read(object)
                    .map_or(Effect::None(NO_CUSTOMER), Effect::Checkout),
                None => Effect::Malformed("the session has no `id`"),
            },
            kind if Invoice::is_told_by(kind) => Invoice::read(object, kind)
                .map_or(Effect::Malformed("the invoice has no `id`"), Effect::Invoice),
            kind => {
                let deleted = kind == "customer.subscription.deleted";
                let previous = self.envelope.pointer("/data/previous_attributes");
                match subscription::flaw(object, deleted) {
                    Some(flaw) => Effect::Malformed(flaw),
                    None => SubscriptionChange::read(object, previous, deleted)
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

/// Why an event that says that it is about no customer is ignored.
pub(crate) const NO_CUSTOMER: &str = "no_customer";

/// The type of the event that tells of a deleted customer.
const DELETED: &str = "customer.deleted";

/// Whether events of type `kind` ask for something.
fn is_handled(kind: &str) -> bool {
    matches!(
        kind,
        "checkout.session.completed"
            | DELETED
            | "customer.subscription.created"
            | "customer.subscription.deleted"
            | "customer.subscription.paused"
            | "customer.subscription.pending_update_applied"
            | "customer.subscription.pending_update_expired"
            | "customer.subscription.resumed"
            | "customer.subscription.trial_will_end"
            | "customer.subscription.updated"
    ) || Invoice::is_told_by(kind)
}

/// Why a body is no event. The sender may be told: only somebody with the secret gets this far.
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
