//! Canceling what customers of deleted orgs still subscribe to.
//!
//! An org that is deleted is not charged any more: its subscriptions are canceled at once, without a refund. The
//! database puts a message into the outbox in the transaction that deletes the org
//! ([`mt_stripe::departed`]), and this delivers it: as often as Stripe or the settings make necessary, and with
//! the same result each time.

use std::sync::Arc;

use mt_core::pg::ledger::outbox::{Courier, Delivered, Message};
use mt_stripe::departed::{DEPARTED, DepartedCustomer};
use mt_stripe::fetch::{CustomerName, StripeClient, SubscriptionFetcher as _};
use mt_stripe::order::Phase;
use mt_stripe::projection::PriceTable;

use super::stripe_api::StripeApi;

/// Cancels subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Departures {
    stripe: Option<(StripeApi, Arc<StripeClient>)>,
    prices: PriceTable,
}

impl Departures {
    pub(super) const fn new(
        stripe: Option<(StripeApi, Arc<StripeClient>)>,
        prices: PriceTable,
    ) -> Self {
        Self { stripe, prices }
    }

    async fn deliver(&self, message: &Message) -> Delivered {
        let Some((api, client)) = &self.stripe else { return Delivered::Skipped("no_key") };
        let Some(departed) = DepartedCustomer::of(&message.payload) else {
            return Delivered::Skipped("other_provider");
        };
        match self.cancel_all(api, client, departed).await {
            Ok(()) => Delivered::Sent,
            // Also what Stripe refuses: a wrong key is put right, and the customer is charged until then.
            Err(error) => {
                let cause = std::error::Error::source(&*error);
                let DepartedCustomer { customer, .. } = departed;
                tracing::warn!(customer, cause, "a deleted org's subscription goes on: {error}");
                Delivered::Deferred { reason: "stripe", detail: error.to_string() }
            }
        }
    }

    async fn cancel_all(
        &self,
        api: &StripeApi,
        client: &StripeClient,
        DepartedCustomer { account, customer }: DepartedCustomer<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for listed in client.fetch_all_of(&CustomerName { account, id: customer }).await? {
            let subscription = listed.subscription;
            if Phase::of(&subscription.status) == Phase::Ended {
                continue;
            }
            let id = subscription.id.as_str();
            if self.prices.plan_of(subscription.prices.iter().map(String::as_str)).is_none() {
                tracing::warn!(
                    customer,
                    subscription = id,
                    "a deleted org's subscription to none of our prices is left alone",
                );
                continue;
            }
            match api.delete(account, &["subscriptions", id]).await {
                Ok(()) => {
                    tracing::info!(customer, subscription = id, "canceled: its org was deleted");
                }
                // Canceled meanwhile.
                Err(error) if error.is_missing(None) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Delivers what billing does at Stripe, and hands all other messages to `rest`.
#[derive(Debug)]
pub(super) struct WithDepartures<C> {
    pub(super) departures: Departures,
    pub(super) rest: C,
}

impl<C: Courier> Courier for WithDepartures<C> {
    async fn deliver(&self, message: &Message) -> Delivered {
        match message.topic.as_str() {
            DEPARTED => self.departures.deliver(message).await,
            _ => self.rest.deliver(message).await,
        }
    }
}
