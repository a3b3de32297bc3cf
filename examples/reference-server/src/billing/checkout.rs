//! Where an org buys, and where it looks after what it has bought: pages of Stripe's, or simulated ones.
//!
//! A session is made for a customer who is linked already, so what comes of it finds its org whoever says
//! what. It is noted down all the same (`mt_stripe::checkout`), before anybody is sent there.

use mt_core::id::TenantId;
use serde::Deserialize;
use uuid::Uuid;

use super::stripe_api::StripeRequest;
use crate::pages;

/// What begins the name of a simulated session.
pub(super) const SIMULATED: &str = "cs_dev_";

/// What sessions are made of.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// `BASE_URL`: where buyers come back to.
    base_url: String,
    /// The price of `pro`.
    price: String,
}

/// A page to buy on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CheckoutPage {
    /// Its name.
    pub(crate) id: String,
    /// Where it is.
    pub(crate) url: String,
}

/// A page on which what was bought is looked after.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PortalPage {
    /// Where it is.
    pub(crate) url: String,
}

impl Checkout {
    pub(super) fn new(base_url: &str, price: String) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), price }
    }

    /// What makes a page on which `customer` buys `pro` for `org`.
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

    /// A page to buy on where there is no key.
    pub(super) fn simulated(&self) -> CheckoutPage {
        let id = format!("{SIMULATED}{}", Uuid::new_v4().simple());
        let url = format!("{}/dev/checkout/{id}", self.base_url);
        CheckoutPage { id, url }
    }

    /// What makes the page on which `customer` changes or ends what `org` has bought.
    pub(super) fn portal_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        let form =
            [("customer", customer), ("return_url", &pages::billing_url(&self.base_url, org))];
        StripeRequest::new("portal", &["billing_portal", "sessions"], &form)
    }

    /// That page where there is no key.
    pub(super) fn simulated_portal(&self, org: TenantId) -> PortalPage {
        PortalPage { url: pages::billing_url(&self.base_url, org) }
    }
}
