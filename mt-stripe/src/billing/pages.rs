//! The pages on which an org buys and manages its subscription: Stripe's, or simulated ones.
//!
//! A session is made for a customer that is linked already, so its events find their org. The server records the session
//! all the same (`mt_core::pg::billing::checkout`), before it sends a buyer there.

use mt_core::id::TenantId;
use mt_core::pg::billing::checkout::Session;
use mt_stripe::client::StripeRequest;
use serde::Deserialize;
use uuid::Uuid;

use crate::pages;

/// The prefix of a simulated session's identifier.
pub(super) const SIMULATED: &str = "cs_dev_";

/// The settings of payment pages.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// `BASE_URL`, to which buyers return.
    base_url: String,
    /// The price of `pro`.
    price: String,
}

/// A page to buy on, as Stripe answers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CheckoutPage {
    /// The session's identifier.
    pub(crate) id: String,
    /// The page's address.
    pub(crate) url: String,
}

/// A page to manage a subscription on, as Stripe answers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PortalPage {
    /// The page's address.
    pub(crate) url: String,
}

impl Checkout {
    pub(super) fn new(base_url: &str, price: String) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), price }
    }

    /// The request that makes a page on which `customer` buys `pro` for `org`.
    pub(super) fn request(&self, org: TenantId, customer: &str) -> StripeRequest {
        let page = pages::billing_url(&self.base_url, org);
        let (bought, left) = (format!("{page}&checkout=done"), format!("{page}&checkout=left"));
        let form = [
            ("mode", "subscription"),
            ("customer", customer),
            ("line_items[0][price]", &self.price),
            ("line_items[0][quantity]", "1"),
            ("success_url", &bought),
            ("cancel_url", &left),
        ];
        StripeRequest::new("checkout", &["checkout", "sessions"], &form)
    }

    /// A simulated page to buy on.
    pub(super) fn simulated(&self) -> Session {
        let id = format!("{SIMULATED}{}", Uuid::new_v4().simple());
        let url = format!("{}/dev/checkout/{id}", self.base_url);
        Session { id, url }
    }

    /// The request that makes the page on which `customer` changes or ends the subscription of `org`.
    pub(super) fn portal_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        let form =
            [("customer", customer), ("return_url", &pages::billing_url(&self.base_url, org))];
        StripeRequest::new("portal", &["billing_portal", "sessions"], &form)
    }

    /// The simulated page to manage a subscription on.
    pub(super) fn simulated_portal(&self, org: TenantId) -> PortalPage {
        PortalPage { url: pages::billing_url(&self.base_url, org) }
    }
}
