//! The server's side of Stripe: which deliveries to believe, who makes customers, what goes on behind the
//! requests, and what operators see of it.

mod courier;
mod customers;
pub mod operations;
mod stripe_api;
mod worker;

use std::sync::Arc;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::TenantId;
use mt_core::pg::SystemPool;
use mt_core::pg::ledger::RetryPolicy;
use mt_core::word::Word as _;
use mt_stripe::event::Event;
use mt_stripe::fetch::{StripeClient, StripeClientError};
use mt_stripe::processor::{Processor, ProcessorConfig};
use mt_stripe::projection::PriceTable;
use mt_stripe::reconcile::Reconciler;
use mt_stripe::refetch::Refetcher;
use mt_stripe::signature::{SecretError, SignatureError, Verifier};

pub(crate) use self::courier::OwnersPost;
use self::customers::Customers;
use self::stripe_api::{StripeApi, StripeApiError};
pub use self::worker::Background;
use crate::config::{StripeConfig, WebhookConfig};
use crate::model::Plan;

/// What handlers ask about billing.
#[derive(Clone, Debug)]
pub struct Billing {
    verifier: Option<Verifier>,
    processor: Processor,
    refetcher: Option<Refetcher>,
    customers: Customers,
}

impl Billing {
    /// Billing as the settings say. Without a webhook secret signatures are not checked, which the
    /// settings allow in development and tests only; without a secret key nobody asks Stripe.
    ///
    /// # Errors
    ///
    /// [`BillingError`].
    pub fn new(
        system: SystemPool,
        stripe: &StripeConfig,
        webhooks: WebhookConfig,
    ) -> Result<Self, BillingError> {
        let secrets = stripe.webhook_secrets.iter().map(crate::config::Secret::reveal);
        let verifier = match stripe.webhook_secrets.is_empty() {
            true => None,
            false => Some(Verifier::new(secrets)?),
        };
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
        let Some(key) = &stripe.secret_key else {
            let customers = Customers::new(None);
            return Ok(Self { verifier, processor, refetcher: None, customers });
        };
        let base = &stripe.api_base;
        let client = Arc::new(StripeClient::new(key.reveal())?.with_base(base.as_str())?);
        processor = processor.with_fetcher(Arc::clone(&client) as _);
        let refetcher = Some(Refetcher::new(system, client, prices));
        let api = StripeApi::new(key.clone(), base.clone()).map_err(StripeClientError::Tls)?;
        Ok(Self { verifier, processor, refetcher, customers: Customers::new(Some(api)) })
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
    pub(crate) async fn receive(
        &self,
        event: &Event,
        body: &[u8],
    ) -> Result<mt_stripe::processor::Receipt, mt_core::pg::PgError> {
        self.processor.receive(event, body).await
    }

    /// Makes the customer that is to pay for `org`, or a simulated one where there is no key.
    pub(crate) async fn make_customer(&self, org: TenantId) -> Result<String, StripeApiError> {
        self.customers.make(org).await
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
