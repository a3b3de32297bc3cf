//! Where an org buys, and where it looks after what it has bought: pages of Stripe's, or simulated ones.
//!
//! A session is made for a customer who is linked already, so what comes of it finds its org whoever says
//! what. It is noted down all the same (`mt_stripe::checkout`), before anybody is sent there.

use mt_core::id::TenantId;
use serde::Deserialize;
use uuid::Uuid;

use super::stripe_api::{StripeApi, StripeApiError};

/// What begins the name of a simulated session.
pub(super) const SIMULATED: &str = "cs_dev_";

/// Makes sessions.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    api: Option<StripeApi>,
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

#[derive(Deserialize)]
struct PortalPage {
    url: String,
}

impl Checkout {
    pub(super) fn new(api: Option<StripeApi>, base_url: &str, price: String) -> Self {
        Self { api, base_url: base_url.trim_end_matches('/').to_owned(), price }
    }

    /// A page on which `customer` buys `pro` for `org`.
    pub(super) async fn open(
        &self,
        org: TenantId,
        customer: &str,
    ) -> Result<CheckoutPage, StripeApiError> {
        // A key of its own: whoever asks twice wants to buy twice, and nobody retries for them.
        let once = Uuid::new_v4().simple();
        let Some(api) = &self.api else {
            let id = format!("{SIMULATED}{once}");
            let url = format!("{}/dev/checkout/{id}", self.base_url);
            return Ok(CheckoutPage { id, url });
        };
        let back = self.billing_of(org);
        let form = [
            ("mode", "subscription"),
            ("customer", customer),
            ("line_items[0][price]", &self.price),
            ("line_items[0][quantity]", "1"),
            ("success_url", &back),
            ("cancel_url", &back),
        ];
        api.post(&["checkout", "sessions"], &format!("mt-checkout-{once}"), &form).await
    }

    /// The page on which `customer` changes or ends what `org` has bought.
    pub(super) async fn portal(
        &self,
        org: TenantId,
        customer: &str,
    ) -> Result<String, StripeApiError> {
        let back = self.billing_of(org);
        let Some(api) = &self.api else { return Ok(back) };
        let form = [("customer", customer), ("return_url", &back)];
        let once = format!("mt-portal-{}", Uuid::new_v4().simple());
        let page: PortalPage = api.post(&["billing_portal", "sessions"], &once, &form).await?;
        Ok(page.url)
    }

    fn billing_of(&self, org: TenantId) -> String {
        format!("{}/orgs/{org}/billing", self.base_url)
    }
}
