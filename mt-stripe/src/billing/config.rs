//! The settings of billing.

use crate::StripeConfig;
use crate::client::StripeClient;
use crate::signature::Verifier;

/// The settings of [`StripeBilling`](super::StripeBilling).
#[derive(Clone, Debug)]
pub struct BillingConfig {
    /// Which events count, what they buy, and how often they are tried. Without a fetcher, `client` is the fetcher.
    pub events: StripeConfig,
    /// Verifies deliveries. `None` accepts unsigned deliveries if there is a `simulation`, and none otherwise.
    pub verifier: Option<Verifier>,
    /// Calls Stripe. `None` simulates customers and pages if there is a `simulation`; otherwise such calls fail with
    /// [`BillingError::NoKey`](super::BillingError::NoKey).
    pub client: Option<StripeClient>,
    /// The price that a checkout page sells.
    pub price: String,
    /// The address of the page with a tenant's billing, to which buyers return. `{tenant}` stands for the tenant's id.
    pub billing_page: String,
    /// The key of the metadata that names the tenant of a customer at Stripe. It is for people: events are not matched by
    /// it.
    pub customer_key: String,
    /// What stands in for Stripe. For development and tests only; `None` in production.
    pub simulation: Option<Simulation>,
}

/// What stands in for Stripe in development and tests.
///
/// Without a client it replaces customers and pages by simulated ones, on which nothing is paid. Without a verifier it
/// also makes **any** delivery count as genuine.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The address of a simulated checkout page. `{session}` stands for the session's id.
    pub checkout_page: String,
}

impl BillingConfig {
    /// Settings that accept no delivery, call nothing and simulate nothing, with the metadata key `tenant_id`.
    #[must_use]
    pub fn new(
        events: StripeConfig,
        price: impl Into<String>,
        billing_page: impl Into<String>,
    ) -> Self {
        Self {
            events,
            verifier: None,
            client: None,
            price: price.into(),
            billing_page: billing_page.into(),
            customer_key: "tenant_id".to_owned(),
            simulation: None,
        }
    }
}
