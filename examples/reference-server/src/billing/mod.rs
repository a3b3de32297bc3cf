//! The server's billing: Stripe's deliveries, customers and payment pages, the tasks behind them, and the operators' view
//! of events.

#[path = "../../../../mt-stripe/src/billing/pages.rs"]
mod checkout;
#[path = "../../../../mt-stripe/src/billing/customers.rs"]
mod customers;
#[path = "../../../../mt-stripe/src/billing/departures.rs"]
mod departures;
pub mod operations;
mod owner_mail;
#[path = "../../../../mt-stripe/src/billing/simulation.rs"]
mod simulation;
mod worker;

use std::sync::Arc;

use mt_core::billing::PriceTable;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::TenantId;
use mt_core::pg::billing::checkout::Session;
use mt_core::pg::billing::reproject;
use mt_core::pg::ledger::{Ledger, LedgerPolicy, Received, RetryPolicy};
use mt_core::pg::{PgError, System};
use mt_core::text_enum::TextEnum as _;
use mt_stripe::client::{StripeClient, StripeClientError, StripeRequest};
use mt_stripe::reconcile::Reconciler;
use mt_stripe::refetch::Refetcher;
use mt_stripe::signature::{SecretError, SignatureError, Verifier, VerifyError, sign};
use mt_stripe::{Stripe, StripeConfig, VerifiedEvent};

use self::checkout::Checkout;
pub(crate) use self::checkout::{CheckoutPage, PortalPage};
pub(crate) use self::customers::{MadeCustomer, ShownCustomer};
pub(crate) use self::departures::Departures;
pub(crate) use self::owner_mail::{MAIL as OWNER_MAIL, OwnerMailHandler};
pub use self::worker::Background;
use crate::config::{Config, Secret};
use crate::model::Plan;

/// The name of the payment provider in the tables of billing.
pub(crate) const PROVIDER: &str = mt_stripe::PROVIDER;

/// Billing, as handlers and commands use it.
#[derive(Clone, Debug)]
pub struct Billing {
    verifier: Option<Verifier>,
    ledger: Ledger<Stripe>,
    refetcher: Option<Refetcher>,
    stripe: Option<StripeClient>,
    checkout: Checkout,
    departures: Departures,
    /// The secret and the price of simulated deliveries; `None` in production, which simulates nothing.
    simulated: Option<Simulated>,
}

/// The warning of a production server without a key for Stripe.
pub(crate) const NO_STRIPE_KEY: &str = "STRIPE_SECRET_KEY is not set: orgs cannot buy, and billing calls answer `billing-misconfigured`";

/// `STRIPE_SECRET_KEY` is not set, in production.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", NO_STRIPE_KEY)]
pub(crate) struct NoStripe;

#[derive(Clone, Debug)]
struct Simulated {
    secret: Option<Secret>,
    price: String,
}

impl Billing {
    /// Billing with these settings. Without a webhook secret signatures are not checked, which the settings allow in
    /// development and tests only. Without a secret key, development and tests simulate Stripe, and production makes no
    /// customers and no pages.
    ///
    /// # Errors
    ///
    /// [`BillingError`].
    pub fn new(system: System, config: &Config) -> Result<Self, BillingError> {
        let (stripe, webhooks) = (&config.stripe, config.webhooks);
        let secrets = stripe.webhook_secrets.iter().map(Secret::reveal);
        let verifier = match stripe.webhook_secrets.is_empty() {
            true => None,
            false => Some(Verifier::new(secrets)?),
        };
        let base_url = config.base_url.as_str();
        let is_prod = config.app_env.is_prod();
        let retry = RetryPolicy {
            max_attempts: webhooks.max_attempts.get(),
            backoff: webhooks.backoff,
            lease: webhooks.lease,
            ..RetryPolicy::default()
        };
        let prices = PriceTable::new(Plan::Free.as_str())
            .plan(Plan::Pro.as_str(), stripe.pro_prices.iter().cloned());
        let client = client(config)?;
        let fetcher = client.clone().map(|client| Arc::new(client) as _);
        let refetcher = client
            .clone()
            .map(|client| Refetcher::new(system.clone(), Arc::new(client), prices.clone()));
        let ledger = Stripe::ledger(
            system,
            StripeConfig {
                prices: prices.clone(),
                livemode: stripe.livemode,
                accounts: stripe.accounts.clone(),
                fetcher,
                policy: LedgerPolicy::from(retry),
            },
        );
        // The settings name at least one price.
        let price = stripe.pro_prices.first().cloned().unwrap_or_default();
        let secret = stripe.webhook_secrets.first().cloned();
        let checkout = Checkout::new(base_url, price.clone());
        let departures = Departures::new(client.clone(), prices);
        let simulated = (!is_prod).then_some(Simulated { secret, price });
        Ok(Self { verifier, ledger, refetcher, stripe: client, checkout, departures, simulated })
    }

    /// Checks the signature headers of a delivery before its body is read.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]: no body would make the delivery genuine.
    pub(crate) fn check_headers(&self, headers: &[&[u8]]) -> Result<(), SignatureError> {
        match &self.verifier {
            Some(verifier) => verifier.check_headers(headers, SystemClock.now()),
            None => Ok(()),
        }
    }

    /// Verifies a delivery. Without a secret, which only development and tests may lack, it accepts any event.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub(crate) fn verify(
        &self,
        headers: &[&[u8]],
        body: Vec<u8>,
    ) -> Result<VerifiedEvent, VerifyError> {
        match &self.verifier {
            Some(verifier) => verifier.verify(headers, body, SystemClock.now()),
            None if body.is_empty() => Err(SignatureError::EmptyBody.into()),
            None => Ok(VerifiedEvent::insecure_unsigned(body)?),
        }
    }

    /// The client of Stripe's API; `None` if customers and pages are simulated.
    ///
    /// # Errors
    ///
    /// [`NoStripe`], in production without a key.
    pub(crate) fn stripe(&self) -> Result<Option<&StripeClient>, NoStripe> {
        match (&self.stripe, &self.simulated) {
            (Some(stripe), _) => Ok(Some(stripe)),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(NoStripe),
        }
    }

    /// The request that makes the customer of `org`.
    pub(crate) fn customer_request(org: TenantId) -> StripeRequest {
        customers::request(org)
    }

    /// The simulated customer of `org`.
    pub(crate) fn simulated_customer(org: TenantId) -> String {
        customers::simulated(org)
    }

    /// The request that makes a page on which `customer` buys for `org`.
    pub(crate) fn checkout_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        self.checkout.request(org, customer)
    }

    /// A simulated page to buy on.
    pub(crate) fn simulated_checkout(&self) -> Session {
        self.checkout.simulated()
    }

    /// The request that makes the page on which `customer` manages the subscription of `org`.
    pub(crate) fn portal_request(&self, org: TenantId, customer: &str) -> StripeRequest {
        self.checkout.portal_request(org, customer)
    }

    /// The simulated page to manage a subscription on.
    pub(crate) fn simulated_portal(&self, org: TenantId) -> PortalPage {
        self.checkout.simulated_portal(org)
    }

    /// The plans and their prices.
    pub(crate) fn prices(&self) -> &PriceTable {
        self.ledger.provider().prices()
    }

    /// Delivers the events that Stripe would send after a payment on the simulated page `session`, through the same checks
    /// as a delivery of Stripe. Returns `None` if there is no such page.
    pub(crate) async fn simulate_payment(
        &self,
        system: &System,
        session: &str,
    ) -> Result<Option<Vec<(String, Received)>>, PgError> {
        let Some(simulated) = &self.simulated else { return Ok(None) };
        let Some(customer) = simulation::buyer(system, session).await? else { return Ok(None) };
        let now = SystemClock.now();
        let price = &simulated.price;
        let mut delivered = Vec::new();
        for event in simulation::events(session, &customer, price, now.timestamp()) {
            let body = event.to_string().into_bytes();
            let secret = simulated.secret.as_ref().map_or("", Secret::reveal);
            let signature = sign(secret, &body, now);
            // The server has made and signed the event, so it verifies.
            if let Ok(event) = self.verify(&[signature.as_bytes()], body) {
                let id = event.event().id().to_owned();
                delivered.push((id, self.ledger.receive(event).await?));
            }
        }
        Ok(Some(delivered))
    }

    /// The job that compares orgs with Stripe; `None` without a key.
    #[must_use]
    pub fn reconciler(&self) -> Option<Reconciler> {
        self.refetcher.clone().map(Reconciler::new)
    }

    /// Returns the handler that cancels the subscriptions of deleted orgs.
    pub(crate) const fn departures(&self) -> &Departures {
        &self.departures
    }

    /// The ledger of Stripe's events.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger<Stripe> {
        &self.ledger
    }
}

/// The client of Stripe's API with the settings' key; `None` without one.
///
/// # Errors
///
/// [`StripeClientError`].
pub(crate) fn client(config: &Config) -> Result<Option<StripeClient>, StripeClientError> {
    let stripe = &config.stripe;
    let Some(key) = &stripe.secret_key else { return Ok(None) };
    Ok(Some(StripeClient::new(key.reveal())?.with_base(stripe.api_base.as_str())?))
}

/// Projects tenants again if the settings have changed the price table since the last start.
async fn follow_prices(ledger: &Ledger<Stripe>) {
    match reproject::<Stripe>(ledger.system(), ledger.provider().prices()).await {
        Ok(0) => {}
        Ok(tenants) => tracing::info!(tenants, "projected again: the price table has changed"),
        Err(error) => tracing::warn!(
            cause = std::error::Error::source(&error),
            "projecting tenants with the changed price table failed; the next start continues",
        ),
    }
}

/// Why billing cannot be set up with the settings.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// The key or the address of Stripe's API is not valid.
    #[error("STRIPE_SECRET_KEY or STRIPE_API_BASE")]
    Client(#[from] StripeClientError),
    /// A secret of the webhook endpoint is not valid.
    #[error("STRIPE_WEBHOOK_SECRET")]
    Secret(#[from] SecretError),
}
