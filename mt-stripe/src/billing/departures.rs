//! Canceling what customers of deleted tenants still subscribe to.
//!
//! A tenant that is deleted is not charged any more: its subscriptions are canceled at once, without a refund. The
//! database puts a message into the outbox in the transaction that deletes the tenant
//! ([`mt_core::pg::billing::departed`]), and this delivers it: as often as Stripe or the settings make necessary, and with
//! the same result each time.

use mt_core::billing::PriceTable;
use mt_core::pg::billing::departed::DepartedCustomer;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};

use crate::PROVIDER;
use crate::client::StripeClient;
use crate::fetch::{CustomerName, SubscriptionFetcher as _};

/// The outbox handler that cancels the subscriptions of deleted tenants, for messages of the topic
/// [`DEPARTED`](mt_core::pg::billing::departed::DEPARTED).
#[derive(Clone, Debug)]
pub struct Departures {
    stripe: Option<StripeClient>,
    prices: PriceTable,
}

impl Departures {
    pub(super) const fn new(stripe: Option<StripeClient>, prices: PriceTable) -> Self {
        Self { stripe, prices }
    }

    async fn cancel_all(
        &self,
        client: &StripeClient,
        DepartedCustomer { account, customer }: DepartedCustomer<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for listed in client.fetch_all_of(&CustomerName { account, id: customer }).await? {
            let subscription = listed.subscription;
            if subscription.status.has_ended() {
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
            match client.delete(account, &["subscriptions", id]).await {
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

impl Handler for Departures {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        let Some(client) = &self.stripe else { return HandlerOutcome::Skipped("no_key") };
        let Some(departed) = DepartedCustomer::of(PROVIDER, &message.payload) else {
            return HandlerOutcome::Skipped("other_provider");
        };
        match self.cancel_all(client, departed).await {
            Ok(()) => HandlerOutcome::Sent,
            // A refusal is deferred, too: an operator corrects a wrong key, and the customer is charged until then.
            Err(error) => {
                let cause = std::error::Error::source(&*error);
                let DepartedCustomer { customer, .. } = departed;
                tracing::warn!(customer, cause, "a deleted org's subscription goes on: {error}");
                HandlerOutcome::Deferred { reason: "stripe", detail: error.to_string() }
            }
        }
    }
}
