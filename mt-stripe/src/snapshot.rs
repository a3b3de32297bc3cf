//! What is known of a subscription or an invoice, as the billing port of `mt-core` takes it.

use mt_core::billing::{InvoiceSnapshot, SubscriptionSnapshot};

use crate::invoice::{InvoiceState, InvoiceStatus};
use crate::known::KnownSubscription;

impl KnownSubscription {
    /// The subscription as it is now; `None` as long as nothing is known.
    #[must_use]
    pub fn snapshot(&self) -> Option<SubscriptionSnapshot> {
        let current = self.current()?;
        let subscription = current.subscription;
        Some(SubscriptionSnapshot {
            id: subscription.id.clone(),
            status: subscription.status.clone(),
            prices: subscription.prices.clone(),
            truncated: subscription.truncated,
            started: subscription.started.unwrap_or(current.seen),
            past_due_since: current.past_due_since,
            current_period_end: subscription.current_period_end,
            cancel_at_period_end: subscription.cancel_at_period_end,
            collection_paused: subscription.collection_paused,
            needs_refetch: current.needs_refetch,
            missing: current.missing,
        })
    }
}

impl InvoiceState {
    /// The invoice as it is now.
    #[must_use]
    pub fn snapshot(&self) -> InvoiceSnapshot {
        InvoiceSnapshot {
            id: self.id.clone(),
            subscription: self.subscription.clone(),
            one_off: self.is_one_off(),
            prices: self.prices.iter().cloned().collect(),
            created: self.created(),
            paid: match self.status {
                InvoiceStatus::Paid => Some(true),
                InvoiceStatus::Void => None,
                InvoiceStatus::Draft | InvoiceStatus::Open | InvoiceStatus::Uncollectible => {
                    self.first_failed().map(|_| false)
                }
            },
            first_failed: self.first_failed(),
        }
    }
}

/// Computes what a tenant with these subscriptions and invoices has paid for.
#[cfg(test)]
pub(crate) fn project(
    subscriptions: &[KnownSubscription],
    invoices: &[InvoiceState],
    prices: &mt_core::billing::PriceTable,
) -> mt_core::billing::BillingState {
    let purchases = mt_core::billing::Purchases {
        subscriptions: subscriptions.iter().filter_map(KnownSubscription::snapshot).collect(),
        invoices: invoices.iter().map(InvoiceState::snapshot).collect(),
    };
    mt_core::billing::project(&purchases, prices)
}

#[cfg(test)]
mod tests;
