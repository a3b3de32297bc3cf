//! Whether Stripe accepts the key and sells the prices of the service.

use mt_stripe::client::{Refusal, StripeClient, StripeError};
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Health, TIMEOUT};
use crate::with_causes;

#[derive(Deserialize)]
struct Price {
    #[serde(default)]
    active: bool,
    #[serde(default)]
    livemode: bool,
    recurring: Option<Value>,
}

/// The result of a look at one price.
struct Finding {
    health: Health,
    detail: String,
    /// Whether asking for the other prices would show the same.
    is_about_all: bool,
}

/// The prices that a service sells through Stripe.
#[derive(Clone, Copy, Debug)]
pub struct StripePrices<'a> {
    /// The client with the key of `STRIPE_SECRET_KEY`.
    pub client: &'a StripeClient,
    /// The ids of the prices. The first is the one that is sold; the others are of earlier subscriptions.
    pub prices: &'a [String],
    /// Whether events must be of live mode, as `STRIPE_LIVEMODE` says.
    pub livemode: Option<bool>,
    /// The setting with the prices, such as `STRIPE_PRICE_PRO`.
    pub setting: &'a str,
    /// What the service calls a tenant.
    pub tenant: &'a str,
}

impl StripePrices<'_> {
    /// Asks Stripe for each price. The check is named `stripe`.
    pub async fn check(self) -> Check {
        let mut check =
            Check { name: "stripe", health: Health::Ok, details: Vec::new(), report: None };
        for (number, price) in self.prices.iter().enumerate() {
            let path = ["prices", price.as_str()];
            let asked = self.client.get::<Price>(&path);
            let finding = match tokio::time::timeout(TIMEOUT, asked).await {
                Ok(Ok(found)) => self.of_price(price, &found, number == 0),
                Ok(Err(error)) => self.of_error(price, &error),
                Err(_elapsed) => about_all(
                    Health::Warning,
                    format!("no response within {} seconds", TIMEOUT.as_secs()),
                ),
            };
            check.health = check.health.max(finding.health);
            check.details.push(finding.detail);
            if finding.is_about_all {
                break;
            }
        }
        check
    }

    fn of_price(self, name: &str, price: &Price, is_sold: bool) -> Finding {
        let Self { livemode, setting, tenant, .. } = self;
        let failed = |said: &str| about_one(Health::Failed, format!("the price `{name}` {said}"));
        let mode = if price.livemode { "live" } else { "test" };
        if livemode.is_some_and(|expected| expected != price.livemode) {
            let said =
                "and STRIPE_LIVEMODE says the other: events of subscriptions to it are ignored";
            return failed(&format!("is of {mode} mode, {said}"));
        }
        if price.recurring.is_none() {
            let said = format!("is not recurring: no {tenant} can subscribe to it");
            return failed(&format!("of {setting} {said}"));
        }
        if is_sold && !price.active {
            let said = "is archived: Checkout refuses it. Name the price to sell first";
            return failed(&format!("of {setting} {said}"));
        }
        let detail = format!("the key is accepted, and `{name}` is a price of {mode} mode");
        about_one(Health::Ok, detail)
    }

    fn of_error(self, name: &str, error: &StripeError) -> Finding {
        let failed = |said: &str| {
            let setting = self.setting;
            about_one(Health::Failed, format!("the price `{name}` of {setting}{said}"))
        };
        if error.is_missing(None) {
            return failed(" does not exist in the account and mode of STRIPE_SECRET_KEY");
        }
        let Some(refusal) = error.lasting() else {
            return about_all(Health::Warning, with_causes(error));
        };
        let Refusal { status, request_id, .. } = refusal;
        let request = request_id.as_deref().unwrap_or("without an id");
        let said = format!("{refusal}, request {request}");
        match status {
            401 => about_all(Health::Failed, format!("STRIPE_SECRET_KEY is not accepted: {said}")),
            403 => {
                let may_not = "STRIPE_SECRET_KEY may not read prices, so they are not checked";
                about_all(Health::Warning, format!("{may_not}: {said}"))
            }
            _ => failed(&format!(": {said}")),
        }
    }
}

const fn about_one(health: Health, detail: String) -> Finding {
    Finding { health, detail, is_about_all: false }
}

const fn about_all(health: Health, detail: String) -> Finding {
    Finding { health, detail, is_about_all: true }
}
