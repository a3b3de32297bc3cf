//! Billing through Stripe with the server's settings.

use std::fmt::Display;

use mt_core::billing::PriceTable;
use mt_core::pg::System;
use mt_core::pg::ledger::{LedgerPolicy, RetryPolicy};
use mt_core::text_enum::TextEnum as _;
use mt_stripe::StripeConfig;
use mt_stripe::billing::{BillingConfig, Simulation, StripeBilling};
use mt_stripe::client::{StripeClient, StripeClientError};
use mt_stripe::signature::{SecretError, Verifier};

use crate::config::{Config, Secret};
use crate::model::Plan;

/// The metadata of a customer at Stripe that names its org.
const CUSTOMER_KEY: &str = "org_id";

/// Billing with these settings. Without a webhook secret signatures are not checked, which the settings allow in
/// development and tests only. Without a secret key, development and tests simulate Stripe, and production makes no
/// customers and no pages.
///
/// # Errors
///
/// [`BillingSettingsError`].
pub fn billing(system: System, config: &Config) -> Result<StripeBilling, BillingSettingsError> {
    let (stripe, webhooks) = (&config.stripe, config.webhooks);
    let verifier = match stripe.webhook_secrets.is_empty() {
        true => None,
        false => Some(Verifier::new(stripe.webhook_secrets.iter().map(Secret::reveal))?),
    };
    let retry = RetryPolicy {
        max_attempts: webhooks.max_attempts.get(),
        backoff: webhooks.backoff,
        lease: webhooks.lease,
        ..RetryPolicy::default()
    };
    let prices = PriceTable::new(Plan::Free.as_str())
        .plan(Plan::Pro.as_str(), stripe.pro_prices.iter().cloned());
    let events = StripeConfig {
        livemode: stripe.livemode,
        accounts: stripe.accounts.clone(),
        policy: LedgerPolicy::from(retry),
        ..StripeConfig::new(prices)
    };
    let base_url = config.base_url.as_str().trim_end_matches('/');
    let simulation = (!config.app_env.is_prod())
        .then(|| Simulation { checkout_page: format!("{base_url}/dev/checkout/{{session}}") });
    // The settings name at least one price.
    let price = stripe.pro_prices.first().cloned().unwrap_or_default();
    let config = BillingConfig {
        verifier,
        client: client(config)?,
        customer_key: CUSTOMER_KEY.to_owned(),
        simulation,
        ..BillingConfig::new(events, price, billing_url(base_url, "{tenant}"))
    };
    Ok(StripeBilling::new(system, config))
}

/// Returns the URL of the billing page of `org`. `base_url` is the setting `BASE_URL`.
pub(crate) fn billing_url(base_url: &str, org: impl Display) -> String {
    format!("{}/billing?org={org}", base_url.trim_end_matches('/'))
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

/// Why billing cannot be set up with the settings.
#[derive(Debug, thiserror::Error)]
pub enum BillingSettingsError {
    /// The key or the address of Stripe's API is not valid.
    #[error("STRIPE_SECRET_KEY or STRIPE_API_BASE")]
    Client(#[from] StripeClientError),
    /// A secret of the webhook endpoint is not valid.
    #[error("STRIPE_WEBHOOK_SECRET")]
    Secret(#[from] SecretError),
}
