//! Billing of a service through Stripe: deliveries, customers, payment pages, and the jobs behind them.
//!
//! [`StripeBilling`] holds what a service's routes and jobs need. It names no HTTP framework: a route passes headers and
//! body, or the caller's request for access, and turns the result into its response.
//!
//! | for | call |
//! | --- | --- |
//! | the webhook route | [`check_headers`](StripeBilling::check_headers), [`verify`](StripeBilling::verify), then [`Ledger::receive`] |
//! | a tenant's billing routes | [`customer`](StripeBilling::customer), [`checkout`](StripeBilling::checkout), [`portal`](StripeBilling::portal) |
//! | the outbox | [`departures`](StripeBilling::departures), for the topic [`DEPARTED`](mt_core::pg::billing::departed::DEPARTED) |
//! | the start of a process | [`follow_prices`](StripeBilling::follow_prices) |
//! | a nightly job | [`reconciler`](StripeBilling::reconciler) |
//! | development without a key | [`simulate_payment`](StripeBilling::simulate_payment) |
//!
//! Operators' routes list and show events with [`operations`](crate::operations), and replay one with
//! [`Ledger::replay`].
//!
//! ```no_run
//! use mt_core::access::{AccessRequest, Implies, Permission, Writes};
//! use mt_core::billing::PriceTable;
//! use mt_core::pg::{Database, Tenants};
//! use mt_stripe::StripeConfig;
//! use mt_stripe::billing::{BillingConfig, BillingError, StripeBilling};
//! use mt_stripe::client::StripeClient;
//! use mt_stripe::signature::Verifier;
//!
//! # fn set_up(database: &Database, secret: &str, key: &str) -> Result<StripeBilling, Box<dyn std::error::Error>> {
//! let events = StripeConfig::new(PriceTable::new("free").plan("pro", ["price_pro"]));
//! let page = "https://app.example/billing?tenant={tenant}";
//! let config = BillingConfig {
//!     verifier: Some(Verifier::new([secret])?),
//!     client: Some(StripeClient::new(key)?),
//!     ..BillingConfig::new(events, "price_pro", page)
//! };
//! let billing = StripeBilling::new(database.system(), config);
//! # Ok(billing)
//! # }
//!
//! /// Returns the address of a page to buy on, for a route that has checked no permission yet.
//! async fn buy<R: Permission, P: Permission<Effect = Writes> + Implies<R>>(
//!     billing: &StripeBilling,
//!     tenants: &Tenants<P::Model>,
//!     request: AccessRequest<P>,
//! ) -> Result<String, BillingError> {
//!     Ok(billing.checkout::<R, P>(tenants, request).await?.url)
//! }
//! ```

mod calls;
mod config;
mod customers;
mod departures;
mod error;
mod pages;
mod simulation;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mt_core::billing::PriceTable;
use mt_core::pg::billing::reproject;
use mt_core::pg::ledger::{Ledger, Received};
use mt_core::pg::{PgError, System};

pub use self::config::{BillingConfig, Simulation};
pub use self::departures::Departures;
pub use self::error::BillingError;
use self::pages::Pages;
use crate::client::StripeClient;
use crate::reconcile::Reconciler;
use crate::refetch::Refetcher;
use crate::signature::{SignatureError, Verifier, VerifyError};
use crate::{Stripe, VerifiedEvent};

/// Billing through Stripe, as routes and jobs use it. Cheap to clone. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct StripeBilling {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    verifier: Option<Verifier>,
    ledger: Ledger<Stripe>,
    refetcher: Option<Refetcher>,
    client: Option<StripeClient>,
    pages: Pages,
    customer_key: String,
    simulation: Option<Simulation>,
}

impl StripeBilling {
    /// Billing with these settings, in `system`'s database.
    #[must_use]
    pub fn new(system: System, config: BillingConfig) -> Self {
        let BillingConfig { mut events, verifier, client, .. } = config;
        if events.fetcher.is_none() {
            events.fetcher = client.clone().map(|client| Arc::new(client) as _);
        }
        let refetcher = events
            .fetcher
            .clone()
            .map(|fetcher| Refetcher::new(system.clone(), fetcher, events.prices.clone()));
        let ledger = Stripe::ledger(system, events);
        let pages = Pages { page: config.billing_page, price: config.price };
        let (customer_key, simulation) = (config.customer_key, config.simulation);
        let parts = Parts { verifier, ledger, refetcher, client, pages, customer_key, simulation };
        Self { parts: Arc::new(parts) }
    }

    /// Checks the signature headers of a delivery before its body is read. `headers` are the values of all its
    /// `Stripe-Signature` lines.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]: no body would make the delivery genuine.
    pub fn check_headers(
        &self,
        headers: &[&[u8]],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        match &self.parts.verifier {
            Some(verifier) => verifier.check_headers(headers, now),
            None => self.unsigned(),
        }
    }

    /// Verifies a delivery and parses its event. With a [`Simulation`] and without a verifier, it accepts any event
    /// **without a check**.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]. Tell the sender no reason for a bad signature.
    pub fn verify(
        &self,
        headers: &[&[u8]],
        body: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<VerifiedEvent, VerifyError> {
        let Some(verifier) = &self.parts.verifier else {
            self.unsigned()?;
            if body.is_empty() {
                return Err(SignatureError::EmptyBody.into());
            }
            return Ok(VerifiedEvent::insecure_unsigned(body)?);
        };
        verifier.verify(headers, body, now)
    }

    /// Whether a delivery is accepted without a signature: in development only.
    fn unsigned(&self) -> Result<(), SignatureError> {
        match self.parts.simulation {
            Some(_) => Ok(()),
            None => Err(SignatureError::NoMatch),
        }
    }

    /// The ledger of Stripe's events.
    #[must_use]
    pub fn ledger(&self) -> &Ledger<Stripe> {
        &self.parts.ledger
    }

    /// The plans and their prices.
    #[must_use]
    pub fn prices(&self) -> &PriceTable {
        self.ledger().provider().prices()
    }

    /// Returns the job that compares tenants with Stripe; `None` without a client.
    #[must_use]
    pub fn reconciler(&self) -> Option<Reconciler> {
        self.parts.refetcher.clone().map(Reconciler::new)
    }

    /// Returns the handler that cancels the subscriptions of deleted tenants.
    #[must_use]
    pub fn departures(&self) -> Departures {
        Departures::new(self.parts.client.clone(), self.prices().clone())
    }

    /// Projects tenants again if the settings have changed the price table since the last start. A failure is logged, and
    /// the next start continues.
    pub async fn follow_prices(&self) {
        match reproject::<Stripe>(self.system(), self.prices()).await {
            Ok(0) => {}
            Ok(tenants) => {
                tracing::info!(tenants, "projected again: the price table has changed");
            }
            Err(error) => tracing::warn!(
                cause = std::error::Error::source(&error),
                "projecting tenants with the changed price table failed; the next start continues",
            ),
        }
    }

    /// Delivers the events that Stripe would send after a payment on the simulated page `session`, through the same checks
    /// as a delivery of Stripe, and returns the id and the result of each. Returns `None` if there is no such page, or no
    /// [`Simulation`].
    ///
    /// # Errors
    ///
    /// [`PgError`]. What was delivered before stays so, and a repetition delivers the same events.
    pub async fn simulate_payment(
        &self,
        session: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<(String, Received)>>, PgError> {
        if self.parts.simulation.is_none() {
            return Ok(None);
        }
        let Some(customer) = simulation::buyer(self.system(), session).await? else {
            return Ok(None);
        };
        let mut delivered = Vec::new();
        for event in
            simulation::events(session, &customer, &self.parts.pages.price, now.timestamp())
        {
            let body = event.to_string().into_bytes();
            let verifier = self.parts.verifier.as_ref();
            let signature = verifier.map(|verifier| verifier.sign(&body, now)).unwrap_or_default();
            // Made and signed here, so it verifies.
            if let Ok(event) = self.verify(&[signature.as_bytes()], body, now) {
                let id = event.event().id().to_owned();
                delivered.push((id, self.ledger().receive(event).await?));
            }
        }
        Ok(Some(delivered))
    }

    fn system(&self) -> &System {
        self.ledger().system()
    }

    /// What makes customers and pages.
    fn service(&self) -> Result<Service<'_>, BillingError> {
        match (&self.parts.client, &self.parts.simulation) {
            (Some(client), _) => Ok(Service::Stripe(client)),
            (None, Some(simulation)) => Ok(Service::Simulated(simulation)),
            (None, None) => Err(BillingError::NoKey),
        }
    }
}

/// What makes customers and pages.
#[derive(Clone, Copy)]
enum Service<'b> {
    Stripe(&'b StripeClient),
    Simulated(&'b Simulation),
}
