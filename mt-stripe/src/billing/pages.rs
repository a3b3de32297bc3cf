//! The pages on which a tenant buys and manages its subscription: Stripe's, or simulated ones.
//!
//! A session is made for a customer that is linked already, so its events find their tenant. It is recorded all the same
//! (`mt_core::pg::billing::checkout`), before a buyer is sent there.

use mt_core::id::TenantId;
use mt_core::pg::billing::checkout::Session;
use serde::Deserialize;
use uuid::Uuid;

use super::config::Simulation;
use super::simulation::SIMULATED;
use crate::client::StripeRequest;

/// The settings of payment pages.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    /// The address of a tenant's billing page, to which buyers return.
    pub(super) page: String,
    /// The price that is sold.
    pub(super) price: String,
}

/// A page to buy on, as Stripe answers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CheckoutPage {
    /// The session's identifier.
    pub(super) id: String,
    /// The page's address.
    pub(super) url: String,
}

/// A page to manage a subscription on, as Stripe answers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PortalPage {
    /// The page's address.
    pub(super) url: String,
}

impl Pages {
    /// The address of the billing page of `tenant`.
    pub(super) fn of(&self, tenant: TenantId) -> String {
        self.page.replace("{tenant}", &tenant.to_string())
    }

    /// The request that makes a page on which `customer` buys for `tenant`.
    pub(super) fn checkout_request(&self, tenant: TenantId, customer: &str) -> StripeRequest {
        let page = self.of(tenant);
        let joint = if page.contains('?') { '&' } else { '?' };
        let bought = format!("{page}{joint}checkout=done");
        let left = format!("{page}{joint}checkout=left");
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

    /// The request that makes the page on which `customer` changes or ends the subscription of `tenant`.
    pub(super) fn portal_request(&self, tenant: TenantId, customer: &str) -> StripeRequest {
        let form = [("customer", customer), ("return_url", &self.of(tenant))];
        StripeRequest::new("portal", &["billing_portal", "sessions"], &form)
    }
}

impl Simulation {
    /// A simulated page to buy on.
    pub(super) fn checkout(&self) -> Session {
        let id = format!("{SIMULATED}{}", Uuid::new_v4().simple());
        let url = self.checkout_page.replace("{session}", &id);
        Session { id, url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(page: &str) -> Pages {
        Pages { page: page.to_owned(), price: "price_pro".to_owned() }
    }

    #[test]
    fn a_buyer_returns_to_the_page_of_the_tenant() {
        let tenant = TenantId::generate();
        for (page, encoded) in [
            ("https://a.example/billing?org={tenant}", "%3Forg%3D{tenant}%26checkout%3D"),
            ("https://a.example/{tenant}/billing", "%2F{tenant}%2Fbilling%3Fcheckout%3D"),
        ] {
            let request = pages(page).checkout_request(tenant, "cus_1");
            let encoded = encoded.replace("{tenant}", &tenant.to_string());
            for end in ["done", "left"] {
                let text = request.text();
                assert!(text.contains(&format!("{encoded}{end}")), "{text}");
            }
        }
    }

    /// The bytes of a request are part of its idempotency key.
    #[test]
    fn requests_are_the_same_bytes_each_time() {
        let tenant = TenantId::generate();
        let pages = pages("https://a.example/billing?org={tenant}");
        let page = format!("https%3A%2F%2Fa.example%2Fbilling%3Forg%3D{tenant}");
        assert_eq!(
            pages.checkout_request(tenant, "cus_1").text(),
            format!(
                "checkout/sessions?mode=subscription&customer=cus_1\
                 &line_items%5B0%5D%5Bprice%5D=price_pro&line_items%5B0%5D%5Bquantity%5D=1\
                 &success_url={page}%26checkout%3Ddone&cancel_url={page}%26checkout%3Dleft"
            )
        );
        assert_eq!(
            pages.portal_request(tenant, "cus_1").text(),
            format!("billing_portal/sessions?customer=cus_1&return_url={page}")
        );
    }

    #[test]
    fn a_simulated_session_has_its_id_in_its_address() {
        let page = "http://localhost:8000/dev/checkout/{session}".to_owned();
        let Session { id, url } = Simulation { checkout_page: page }.checkout();
        assert!(id.starts_with("cs_dev_"), "{id}");
        assert_eq!(url, format!("http://localhost:8000/dev/checkout/{id}"));
    }
}
