//! A completed Checkout session as an event shows it.

use serde_json::Value;

use crate::json::{customer, reference, word};

/// A completed Checkout session, as its event shows it.
///
/// It names no tenant: `client_reference_id` and metadata, which a visitor can set, are not read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckoutSession {
    /// The session's identifier, which this server recorded when it made the session.
    pub id: String,
    /// The customer that paid.
    pub customer: String,
    /// The subscription that it started.
    pub subscription: Option<String>,
}

impl CheckoutSession {
    /// Reads the object of an event; `None` for a session without an identifier or a customer.
    pub(crate) fn read(object: &Value) -> Option<Self> {
        Some(Self {
            id: object.get("id").and_then(word)?.to_owned(),
            customer: customer(object)?.to_owned(),
            subscription: object.get("subscription").and_then(reference).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::event::{Effect, Event};

    const OTHER: Uuid = Uuid::from_u128(2);

    fn session(event: &Event) -> Option<CheckoutSession> {
        match event.effect() {
            Effect::Checkout(session) => Some(session),
            _ => None,
        }
    }

    fn completed(object: &Value) -> Option<CheckoutSession> {
        let event = json!({
            "id": "evt_1", "type": "checkout.session.completed", "data": {"object": object},
        });
        session(&Event::parse(event.to_string().as_bytes()).unwrap())
    }

    /// What the visitor of a payment page can set makes no difference.
    #[test]
    fn a_session_says_nothing_of_a_tenant() {
        let plain = json!({"id": "cs_1", "customer": "cus_1", "subscription": {"id": "sub_1"}});
        let mut forged = plain.clone();
        forged["client_reference_id"] = json!(OTHER);
        forged["metadata"] = json!({"org_id": OTHER, "tenant_id": OTHER, "__proto__": {}});
        forged["success_url"] = json!("https://example.org/?org=2");
        assert_eq!(completed(&forged), completed(&plain));
        let session = completed(&plain).unwrap();
        assert_eq!(
            (session.customer.as_str(), session.subscription.as_deref()),
            ("cus_1", Some("sub_1"))
        );
    }

    #[test]
    fn only_a_completed_session_of_a_customer_is_one() {
        assert_eq!(completed(&json!({"id": "cs_1", "customer": null})), None);
        assert_eq!(completed(&json!({"customer": "cus_1"})), None);
        let other = br#"{"id": "evt_1", "type": "checkout.session.expired",
            "data": {"object": {"id": "cs_1", "customer": "cus_1"}}}"#;
        assert_eq!(session(&Event::parse(other).unwrap()), None);
    }
}
