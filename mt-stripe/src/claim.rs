//! Who may say which customer pays for which tenant.
//!
//! A payment page lets its visitor say so: `client_reference_id` is set in the address of a payment
//! link, metadata by whoever makes a session. Somebody who names *your* tenant there and then cancels
//! would cancel you. So a claim counts only if the Checkout session that carries it was made by this
//! server, for that tenant; what an event says by itself is not looked at.
//!
//! Claims are a set, and the verdict a function of it, so that it depends on no order. A customer that
//! is linked stays linked, and two claims that differ link nothing: a person has to look.
//!
//! ```
//! use mt_stripe::claim::{Claims, Link};
//! use uuid::Uuid;
//!
//! let (acme, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
//! // The session `cs_1` was made for acme; nobody here made `cs_2`.
//! let made_for = |session: &str| (session == "cs_1").then_some(acme);
//!
//! let claims = Claims::default().with(made_for("cs_2"));
//! assert_eq!(claims.link(None), Link::None);
//! let claims = claims.with(made_for("cs_1"));
//! assert_eq!(claims.link(None), Link::To(acme));
//! assert_eq!(claims.link(Some(other)), Link::Stays(other));
//! ```

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::event::{Effect, Event};
use crate::json::{customer, reference, word};

/// A Checkout session that is complete, as its event shows it.
///
/// There is no tenant in it: `client_reference_id` and metadata are not read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckoutSession {
    /// Its identifier: what this server noted down when it made the session.
    pub id: String,
    /// Who paid.
    pub customer: String,
    /// The subscription that came of it.
    pub subscription: Option<String>,
}

impl CheckoutSession {
    /// Reads a `checkout.session.completed`; `None` for other events, and for a session without a
    /// customer.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event.effect() {
            Effect::Checkout(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn read(object: &Value) -> Option<Self> {
        Some(Self {
            id: object.get("id").and_then(word)?.to_owned(),
            customer: customer(object)?.to_owned(),
            subscription: object.get("subscription").and_then(reference).map(str::to_owned),
        })
    }
}

/// What has been claimed about one customer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    tenants: BTreeSet<Uuid>,
}

/// What claims come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// They name different tenants. Nothing is linked.
    Conflict,
    /// There are none that count.
    None,
    /// It is linked already, and claims change nothing.
    Stays(Uuid),
    /// All name this tenant.
    To(Uuid),
}

impl Claims {
    /// Adds the claim that a session makes: `made_for` is the tenant for which *this server* made it,
    /// and `None` for a session that is somebody else's.
    #[must_use]
    pub fn with(mut self, made_for: Option<Uuid>) -> Self {
        self.tenants.extend(made_for);
        self
    }

    /// Adds all claims of `other`.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.tenants.extend(other.tenants);
        self
    }

    /// The verdict for a customer that pays for `linked` so far.
    #[must_use]
    pub fn link(&self, linked: Option<Uuid>) -> Link {
        let mut tenants = self.tenants.iter();
        match (linked, tenants.next(), tenants.next()) {
            (Some(linked), ..) => Link::Stays(linked),
            (None, None, _) => Link::None,
            (None, Some(tenant), None) => Link::To(*tenant),
            (None, Some(_), Some(_)) => Link::Conflict,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ACME: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn completed(object: &Value) -> Option<CheckoutSession> {
        let event = json!({
            "id": "evt_1", "type": "checkout.session.completed", "data": {"object": object},
        });
        CheckoutSession::of(&Event::parse(event.to_string().as_bytes()).unwrap())
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
        assert_eq!(CheckoutSession::of(&Event::parse(other).unwrap()), None);
    }

    #[test]
    fn conflicting_claims_link_nothing_in_either_order() {
        let claim = |tenant| Claims::default().with(Some(tenant));
        assert_eq!(claim(ACME).join(claim(OTHER)).link(None), Link::Conflict);
        assert_eq!(claim(OTHER).join(claim(ACME)).link(None), Link::Conflict);
        // Nor do they undo a link.
        assert_eq!(claim(OTHER).link(Some(ACME)), Link::Stays(ACME));
    }

    proptest! {
        #[test]
        fn the_verdict_depends_on_no_order(
            claims in prop::collection::vec(prop::option::of(0..3_u128), 0..6),
            linked in prop::option::of(0..3_u128),
        ) {
            let claim = |made_for: &Option<u128>| {
                Claims::default().with(made_for.map(Uuid::from_u128))
            };
            let linked = linked.map(Uuid::from_u128);
            let forth = claims.iter().map(claim).fold(Claims::default(), Claims::join);
            let back = claims.iter().rev().map(claim).fold(Claims::default(), Claims::join);
            prop_assert_eq!(forth.link(linked), back.link(linked));
            prop_assert_eq!(forth.clone().join(back).link(linked), forth.link(linked));
            // "The first claim wins" is no such function.
            let first = |claims: &[Option<u128>]| claims.iter().flatten().next().copied();
            let reversed: Vec<_> = claims.iter().rev().copied().collect();
            if first(&claims) != first(&reversed) {
                prop_assert!(matches!(forth.link(None), Link::Conflict));
            }
        }
    }
}
