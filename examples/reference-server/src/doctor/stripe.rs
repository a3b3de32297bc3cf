//! Whether Stripe takes the key and sells what `STRIPE_PRICE_PRO` names.

use mt_service::with_causes;
use mt_stripe::client::{Refusal, StripeError};
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Health, TIMEOUT};
use crate::billing::{self, NO_STRIPE_KEY};
use crate::config::Config;

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

/// Asks Stripe, or the stand-in of `STRIPE_API_BASE`, for each price. `None` where Stripe is simulated.
pub(super) async fn stripe(config: &Config) -> Option<Check> {
    let stripe = &config.stripe;
    let client = match billing::client(config) {
        Ok(Some(client)) => client,
        Ok(None) => {
            let is_prod = config.app_env.is_prod();
            return is_prod.then(|| Check::new("stripe", Health::Warning, NO_STRIPE_KEY));
        }
        Err(error) => return Some(Check::failed("stripe", &error)),
    };
    let mut check = Check { name: "stripe", health: Health::Ok, details: Vec::new(), report: None };
    for (number, price) in stripe.pro_prices.iter().enumerate() {
        let path = ["prices", price.as_str()];
        let finding = match tokio::time::timeout(TIMEOUT, client.get::<Price>(&path)).await {
            // The first price is the one that is sold; the others are of subscriptions from before.
            Ok(Ok(found)) => of_price(price, &found, number == 0, stripe.livemode),
            Ok(Err(error)) => of_error(price, &error),
            Err(_elapsed) => about_all(
                Health::Warning,
                format!("no response within {} seconds", TIMEOUT.as_secs()),
            ),
        };
        check.health = worse(check.health, finding.health);
        check.details.push(finding.detail);
        if finding.is_about_all {
            break;
        }
    }
    Some(check)
}

fn of_price(name: &str, price: &Price, is_sold: bool, livemode: Option<bool>) -> Finding {
    let mode = if price.livemode { "live" } else { "test" };
    if livemode.is_some_and(|expected| expected != price.livemode) {
        let said = "and STRIPE_LIVEMODE says the other: events of subscriptions to it are ignored";
        return about_one(Health::Failed, format!("the price `{name}` is of {mode} mode, {said}"));
    }
    if price.recurring.is_none() {
        let said = "is not recurring: no org can subscribe to it";
        return about_one(Health::Failed, format!("the price `{name}` of STRIPE_PRICE_PRO {said}"));
    }
    if is_sold && !price.active {
        let said = "is archived: Checkout refuses it. Name the price to sell first";
        return about_one(Health::Failed, format!("the price `{name}` of STRIPE_PRICE_PRO {said}"));
    }
    about_one(Health::Ok, format!("the key is accepted, and `{name}` is a price of {mode} mode"))
}

fn of_error(name: &str, error: &StripeError) -> Finding {
    if error.is_missing(None) {
        let said = "does not exist in the account and mode of STRIPE_SECRET_KEY";
        return about_one(Health::Failed, format!("the price `{name}` of STRIPE_PRICE_PRO {said}"));
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
        _ => about_one(Health::Failed, format!("the price `{name}` of STRIPE_PRICE_PRO: {said}")),
    }
}

const fn about_one(health: Health, detail: String) -> Finding {
    Finding { health, detail, is_about_all: false }
}

const fn about_all(health: Health, detail: String) -> Finding {
    Finding { health, detail, is_about_all: true }
}

const fn worse(a: Health, b: Health) -> Health {
    match (a, b) {
        (Health::Failed, _) | (_, Health::Failed) => Health::Failed,
        (Health::Warning, _) | (_, Health::Warning) => Health::Warning,
        (Health::Ok, Health::Ok) => Health::Ok,
    }
}
