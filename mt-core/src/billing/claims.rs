//! Claims: which customer pays for which tenant, by the Checkout sessions that this server made.
//!
//! A payment page lets its visitor name a tenant: `client_reference_id` is set in the address of a payment link, metadata
//! by the code that makes a session. An attacker who names *your* tenant there and then cancels would cancel your
//! subscription. So a claim counts only if this server made the Checkout session that carries it, for that tenant; what
//! an event says of a tenant is not read.
//!
//! Claims are a set, and the link is a function of the set, so that it depends on no order. A customer that is linked
//! stays linked, and two claims that differ link nothing: an operator has to look.
//!
//! ```
//! use mt_core::billing::{Claims, Link};
//! use uuid::Uuid;
//!
//! let (acme, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
//! // This server made the session `cs_1`, for acme, and did not make `cs_2`.
//! let made_for = |session: &str| (session == "cs_1").then_some(acme);
//!
//! let claims = Claims::default().with(made_for("cs_2"));
//! assert_eq!(claims.link(None), Link::None);
//! let claims = claims.with(made_for("cs_1"));
//! assert_eq!(claims.link(None), Link::To(acme));
//! assert_eq!(claims.link(Some(other)), Link::Stays(other));
//! ```

use std::collections::BTreeSet;

use uuid::Uuid;

/// The tenants for which one customer has completed a Checkout session of this server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    tenants: BTreeSet<Uuid>,
}

/// The decision about a customer's link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// The claims name different tenants. Nothing is linked.
    Conflict,
    /// There is no claim that counts.
    None,
    /// The customer is linked already, and claims change nothing.
    Stays(Uuid),
    /// All claims name this tenant.
    To(Uuid),
}

impl Claims {
    /// Adds the claim of a session: `made_for` is the tenant for which this server made it, and `None` for a session
    /// that it did not make.
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

    /// Decides the link of a customer that pays for `linked` so far.
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

    use super::*;

    const ACME: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

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
        fn the_link_depends_on_no_order(
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
            // The control: the rule "the first claim wins" depends on the order.
            let first = |claims: &[Option<u128>]| claims.iter().flatten().next().copied();
            let reversed: Vec<_> = claims.iter().rev().copied().collect();
            if first(&claims) != first(&reversed) {
                prop_assert!(matches!(forth.link(None), Link::Conflict));
            }
        }
    }
}
