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
use crate::json::{customer, instant, reference_at, word};
use crate::subscription::SubscriptionChange;

/// The envelope of an event and the object that it is about.
///
/// ```
/// use mt_stripe::event::{Effect, Event};
///
/// let event = Event::parse(br#"{"id": "evt_1", "type": "customer.created"}"#)?;
/// assert_eq!(event.id(), "evt_1");
/// assert!(matches!(event.effect(), Effect::None("no_object")));
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
    /// An invoice as it was when the event was made.
    Invoice(Invoice),
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
        customer(object).or_else(|| {
            let is_customer = object.get("object").and_then(Value::as_str) == Some("customer");
            is_customer.then(|| object.get("id").and_then(word)).flatten()
        })
    }

    /// What the event asks for.
    #[must_use]
    pub fn effect(&self) -> Effect {
        if self.is_thin() {
            // Names what changed and not into what.
            return Effect::None("thin_event");
        }
        let Some(object) = self.object() else { return Effect::None("no_object") };
        match self.kind.as_str() {
            "customer.subscription.created"
            | "customer.subscription.deleted"
            | "customer.subscription.paused"
            | "customer.subscription.pending_update_applied"
            | "customer.subscription.pending_update_expired"
            | "customer.subscription.resumed"
            | "customer.subscription.trial_will_end"
            | "customer.subscription.updated" => {
                let deleted = self.kind == "customer.subscription.deleted";
                let previous = self.envelope.pointer("/data/previous_attributes");
                SubscriptionChange::read(object, previous, deleted)
                    .map_or(Effect::None("no_subscription_id"), Effect::Subscription)
            }
            "checkout.session.completed" => CheckoutSession::read(object)
                .map_or(Effect::None("no_session_or_customer"), Effect::Checkout),
            kind if Invoice::is_told_by(kind) => {
                Invoice::read(object, kind).map_or(Effect::None("no_invoice_id"), Effect::Invoice)
            }
            _ => Effect::None("unhandled_type"),
        }
    }

    pub(crate) fn object(&self) -> Option<&Value> {
        self.envelope.pointer("/data/object").filter(|object| object.is_object())
    }
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
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(event: &Value) -> Event {
        Event::parse(&serde_json::to_vec(event).unwrap()).unwrap()
    }

    #[test]
    fn a_bare_envelope_is_enough() {
        let event = parse(&json!({"id": "evt_1", "type": "x", "api_version": null}));
        assert_eq!((event.created(), event.account(), event.customer()), (None, None, None));
        assert!(!event.livemode());
        assert!(matches!(event.effect(), Effect::None("no_object")));
    }

    #[test]
    fn an_event_needs_an_identifier_and_a_type() {
        for body in [
            json!([]),
            json!("evt_1"),
            json!({"type": "x"}),
            json!({"id": "", "type": "x"}),
            json!({"id": 1, "type": "x"}),
            json!({"id": "a\0", "type": "x"}),
            json!({"id": "evt_1"}),
        ] {
            let refused = Event::parse(&serde_json::to_vec(&body).unwrap()).unwrap_err();
            assert!(matches!(refused, EventError::NotAnEvent(_)), "{body}");
        }
        for body in [&b"hello"[..], b"", b"\xef\xbb\xbf{}", b"{\"id\":\"\xff\"}", b"{} {}"] {
            assert!(matches!(Event::parse(body).unwrap_err(), EventError::BadJson(_)));
        }
    }

    #[test]
    fn a_thin_event_is_recognised_and_asks_for_nothing() {
        let event = parse(&json!({
            "id": "evt_1", "object": "v2.core.event",
            "type": "v1.customer.subscription.updated", "created": "2026-11-23T16:00:00Z",
            "livemode": true, "related_object": {"id": "sub_1", "type": "subscription"},
        }));
        assert!(event.is_thin() && event.livemode());
        assert_eq!(event.object_id(), Some("sub_1"));
        assert_eq!(event.created(), DateTime::from_timestamp(1_795_449_600, 0));
        assert!(matches!(event.effect(), Effect::None("thin_event")));
        assert_eq!((event.dedupe_key(), event.asks_about()), ("evt_1", Some("sub_1")));
    }

    #[test]
    fn only_a_thin_event_about_a_subscription_is_a_hint() {
        let hint = |object: &str, related: Value| {
            let event = parse(&json!({
                "id": "evt_1", "object": object, "type": "x", "related_object": related,
                "snapshot_event": "evt_0",
            }));
            (event.asks_about().map(str::to_owned), event.dedupe_key().to_owned())
        };
        let about = |kind: &str| json!({"id": "sub_1", "type": kind});
        let [own, twin] = ["evt_1".to_owned(), "evt_0".to_owned()];
        assert_eq!(
            hint("v2.core.event", about("subscription")),
            (Some("sub_1".into()), twin.clone())
        );
        assert_eq!(hint("v2.core.event", about("invoice")), (None, twin.clone()));
        assert_eq!(hint("v2.core.event", json!(null)), (None, twin));
        // An ordinary event cannot borrow another's name.
        assert_eq!(hint("event", about("subscription")), (None, own));
    }

    #[test]
    fn the_customer_is_the_owner_or_the_object() {
        let about =
            |object: Value| parse(&json!({"id": "evt_1", "type": "x", "data": {"object": object}}));
        let owned = about(json!({"id": "sub_1", "customer": {"id": "cus_1"}}));
        assert_eq!(owned.customer(), Some("cus_1"));
        let itself = about(json!({"id": "cus_2", "object": "customer"}));
        assert_eq!(itself.customer(), Some("cus_2"));
    }
}
