//! The server's side of Stripe: which deliveries to believe, who makes customers, what goes on behind the
//! requests, and what operators see of it.

mod checkout;
mod courier;
mod customers;
mod departures;
pub mod operations;
mod simulation;
mod stripe_api;
mod worker;

use std::sync::Arc;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::TenantId;
use mt_core::pg::ledger::RetryPolicy;
use mt_core::pg::{PgError, SystemPool};
use mt_core::word::Word as _;
use mt_stripe::event::Event;
use mt_stripe::fetch::{StripeClient, StripeClientError};
use mt_stripe::processor::{Processor, ProcessorConfig, Receipt};
use mt_stripe::projection::PriceTable;
use mt_stripe::reconcile::Reconciler;
use mt_stripe::refetch::Refetcher;
use mt_stripe::signature::{SecretError, SignatureError, Verifier, sign};

use self::checkout::Checkout;
pub(crate) use self::checkout::{CheckoutPage, PortalPage};
pub(crate) use self::courier::{MAIL as OWNER_MAIL, OwnersPost};
pub(crate) use self::customers::{MadeCustomer, ShownCustomer};
use self::departures::Departures;
pub(crate) use self::stripe_api::{Refusal, StripeApi, StripeApiError, StripeRequest};
pub use self::worker::Background;
use crate::config::{Config, Secret};
use crate::model::Plan;

/// What handlers ask about billing.
#[derive(Clone, Debug)]
pub struct Billing {
    verifier: Option<Verifier>,
    processor: Processor,
    refetcher: Option<Refetcher>,
    stripe: Option<StripeApi>,
    checkout: Checkout,
    departures: Departures,
    /// What simulated deliveries are signed with and name.
    simulated: Simulated,
}

#[derive(Clone, Debug)]
struct Simulated {
    secret: Option<Secret>,
    price: String,
}

impl Billing {
    /// Billing as the settings say. Without a webhook secret signatures are not checked, which the
    /// settings allow in development and tests only; without a secret key nobody asks Stripe.
    ///
    /// # Errors
    ///
    /// [`BillingError`].
    pub fn new(system: SystemPool, config: &Config) -> Result<Self, BillingError> {
        let (stripe, webhooks) = (&config.stripe, config.webhooks);
        let secrets = stripe.webhook_secrets.iter().map(Secret::reveal);
        let verifier = match stripe.webhook_secrets.is_empty() {
            true => None,
            false => Some(Verifier::new(secrets)?),
        };
        let base_url = config.base_url.as_str();
        let config = ProcessorConfig {
            prices: PriceTable::new(Plan::Free.as_str())
                .plan(Plan::Pro.as_str(), stripe.pro_prices.iter().cloned()),
            livemode: stripe.livemode,
            accounts: stripe.accounts.clone(),
            retry: RetryPolicy {
                max_attempts: webhooks.max_attempts.get(),
                backoff: webhooks.backoff,
                lease: webhooks.lease,
                ..RetryPolicy::default()
            },
        };
        let prices = config.prices.clone();
        let mut processor = Processor::new(system.clone(), config);
        let (mut refetcher, mut api, mut asked) = (None, None, None);
        if let Some(key) = &stripe.secret_key {
            let base = &stripe.api_base;
            let client = Arc::new(StripeClient::new(key.reveal())?.with_base(base.as_str())?);
            processor = processor.with_fetcher(Arc::clone(&client) as _);
            refetcher = Some(Refetcher::new(system, Arc::clone(&client) as _, prices.clone()));
            let made = StripeApi::new(key.clone(), base.clone())
                .map_err(|error| StripeClientError::Tls(error.into()))?;
            api = Some(made.clone());
            asked = Some((made, client));
        }
        // The settings have at least one.
        let price = stripe.pro_prices.first().cloned().unwrap_or_default();
        let secret = stripe.webhook_secrets.first().cloned();
        let checkout = Checkout::new(base_url, price.clone());
        let departures = Departures::new(asked, prices);
        let simulated = Simulated { secret, price };
        Ok(Self { verifier, processor, refetcher, stripe: api, checkout, departures, simulated })
    }

    /// Whether a delivery is from Stripe.
    pub(crate) fn verify(&self, headers: &[&[u8]], body: &[u8]) -> Result<(), SignatureError> {
        match &self.verifier {
            Some(verifier) => verifier.verify(headers, body, SystemClock.now()),
            None if body.is_empty() => Err(SignatureError::EmptyBody),
            None => Ok(()),
        }
    }

    /// Stores and applies a verified delivery.
    pub(crate) async fn receive(&self, event: &Event, body: &[u8]) -> Result<Receipt, PgError> {
        self.processor.receive(event, body).await
    }

    /// Stripe's API; `None` without a key, where customers and pages are simulated.
    pub(crate) const fn stripe(&self) -> Option<&StripeApi> {
        self.stripe.as_ref()
    }

    /// What makes the customer that is to pay for `org`.
    pub(crate) fn customer_request(org: TenantId) -> StripeRequest {
        customers::request(org)
    }

    /// The customer of `org` without a key.
    pub(crate) fn simulated_customer(org: TenantId) -> String {
        customers::simulated(org)
    }

    /// What makes a page on which `customer` buys for `org`.
    pub(crate) fn checkout_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        self.checkout.request(org, customer)
    }

    /// A page to buy on without a key.
    pub(crate) fn simulated_checkout(&self) -> CheckoutPage {
        self.checkout.simulated()
    }

    /// What makes the page on which `customer` looks after what was bought for `org`.
    pub(crate) fn portal_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        self.checkout.portal_request(org, customer)
    }

    /// That page without a key.
    pub(crate) fn simulated_portal(&self, org: TenantId) -> PortalPage {
        self.checkout.simulated_portal(org)
    }

    /// The plans and their prices.
    pub(crate) fn prices(&self) -> &PriceTable {
        &self.processor.ledger().provider().config().prices
    }

    /// Delivers what Stripe would send once somebody has paid on the simulated page called `session`,
    /// through the same checks as what comes from outside. `None`: there is no such page.
    pub(crate) async fn simulate_payment(
        &self,
        system: &SystemPool,
        session: &str,
    ) -> Result<Option<Vec<(Event, Receipt)>>, PgError> {
        let Some(customer) = simulation::buyer(system, session).await? else { return Ok(None) };
        let now = SystemClock.now();
        let price = &self.simulated.price;
        let mut delivered = Vec::new();
        for event in simulation::events(session, &customer, price, now.timestamp()) {
            let body = event.to_string().into_bytes();
            let secret = self.simulated.secret.as_ref().map_or("", Secret::reveal);
            let signature = sign(secret, &body, now);
            // Both are of our own making: an error would be ours.
            let verified = self.verify(&[signature.as_bytes()], &body).is_ok();
            if let Some(event) = Event::parse(&body).ok().filter(|_| verified) {
                let receipt = self.receive(&event, &body).await?;
                delivered.push((event, receipt));
            }
        }
        Ok(Some(delivered))
    }

    /// What compares orgs with Stripe; `None` without a key to ask with.
    #[must_use]
    pub fn reconciler(&self) -> Option<Reconciler> {
        self.refetcher.clone().map(Reconciler::new)
    }

    /// What works on the ledger.
    #[must_use]
    pub const fn processor(&self) -> &Processor {
        &self.processor
    }
}

/// Lets tenants follow the price table, where the settings have changed it since the last start.
async fn follow_prices(processor: &Processor) {
    match processor.reproject().await {
        Ok(0) => {}
        Ok(tenants) => tracing::info!(tenants, "projected again: the price table has changed"),
        Err(error) => tracing::warn!(
            cause = std::error::Error::source(&error),
            "the price table could not be followed; the next start goes on",
        ),
    }
}

/// Why the settings of billing cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// The key for Stripe's API, or where that is.
    #[error("STRIPE_SECRET_KEY or STRIPE_API_BASE")]
    Client(#[from] StripeClientError),
    /// A secret of the webhook endpoint.
    #[error("STRIPE_WEBHOOK_SECRET")]
    Secret(#[from] SecretError),
}
