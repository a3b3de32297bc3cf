//! The types of events that have an effect.

use std::fmt;

use crate::invoice::InvoiceStatus;
use crate::order::Rank;

/// A type of event that this crate applies. Events of any other type are stored and ignored.
///
/// This is the one list of types: the order of events, the status of invoices and the dispatch are methods of it. To
/// handle another type, add it here and to the table in the README, which a test compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// `checkout.session.completed`
    CheckoutSessionCompleted,
    /// `customer.deleted`
    CustomerDeleted,
    /// `customer.subscription.created`
    SubscriptionCreated,
    /// `customer.subscription.deleted`
    SubscriptionDeleted,
    /// `customer.subscription.paused`
    SubscriptionPaused,
    /// `customer.subscription.pending_update_applied`
    SubscriptionPendingUpdateApplied,
    /// `customer.subscription.pending_update_expired`
    SubscriptionPendingUpdateExpired,
    /// `customer.subscription.resumed`
    SubscriptionResumed,
    /// `customer.subscription.trial_will_end`
    SubscriptionTrialWillEnd,
    /// `customer.subscription.updated`
    SubscriptionUpdated,
    /// `invoice.finalized`
    InvoiceFinalized,
    /// `invoice.marked_uncollectible`
    InvoiceMarkedUncollectible,
    /// `invoice.paid`
    InvoicePaid,
    /// `invoice.payment_action_required`
    InvoicePaymentActionRequired,
    /// `invoice.payment_failed`
    InvoicePaymentFailed,
    /// `invoice.payment_succeeded`
    InvoicePaymentSucceeded,
    /// `invoice.updated`
    InvoiceUpdated,
    /// `invoice.voided`
    InvoiceVoided,
}

/// The kind of object that an event is about, with what the type of the event says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    CheckoutSession,
    Customer,
    /// The least status that the invoice has after the event.
    Invoice(InvoiceStatus),
    /// The place of the event among those of one second.
    Subscription(Rank),
}

impl EventKind {
    /// All types, in the order of their names.
    pub const ALL: [Self; 18] = [
        Self::CheckoutSessionCompleted,
        Self::CustomerDeleted,
        Self::SubscriptionCreated,
        Self::SubscriptionDeleted,
        Self::SubscriptionPaused,
        Self::SubscriptionPendingUpdateApplied,
        Self::SubscriptionPendingUpdateExpired,
        Self::SubscriptionResumed,
        Self::SubscriptionTrialWillEnd,
        Self::SubscriptionUpdated,
        Self::InvoiceFinalized,
        Self::InvoiceMarkedUncollectible,
        Self::InvoicePaid,
        Self::InvoicePaymentActionRequired,
        Self::InvoicePaymentFailed,
        Self::InvoicePaymentSucceeded,
        Self::InvoiceUpdated,
        Self::InvoiceVoided,
    ];

    /// Stripe's name of the type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckoutSessionCompleted => "checkout.session.completed",
            Self::CustomerDeleted => "customer.deleted",
            Self::SubscriptionCreated => "customer.subscription.created",
            Self::SubscriptionDeleted => "customer.subscription.deleted",
            Self::SubscriptionPaused => "customer.subscription.paused",
            Self::SubscriptionPendingUpdateApplied => {
                "customer.subscription.pending_update_applied"
            }
            Self::SubscriptionPendingUpdateExpired => {
                "customer.subscription.pending_update_expired"
            }
            Self::SubscriptionResumed => "customer.subscription.resumed",
            Self::SubscriptionTrialWillEnd => "customer.subscription.trial_will_end",
            Self::SubscriptionUpdated => "customer.subscription.updated",
            Self::InvoiceFinalized => "invoice.finalized",
            Self::InvoiceMarkedUncollectible => "invoice.marked_uncollectible",
            Self::InvoicePaid => "invoice.paid",
            Self::InvoicePaymentActionRequired => "invoice.payment_action_required",
            Self::InvoicePaymentFailed => "invoice.payment_failed",
            Self::InvoicePaymentSucceeded => "invoice.payment_succeeded",
            Self::InvoiceUpdated => "invoice.updated",
            Self::InvoiceVoided => "invoice.voided",
        }
    }

    /// Finds a type by Stripe's name; `None` for a type that is ignored.
    ///
    /// ```
    /// use mt_stripe::event::EventKind;
    ///
    /// assert_eq!(EventKind::parse("invoice.paid"), Some(EventKind::InvoicePaid));
    /// assert_eq!(EventKind::parse("invoice.created"), None);
    /// ```
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The place of the event among the events of one subscription and one second; `None` for other events.
    ///
    /// ```
    /// use mt_stripe::event::EventKind;
    ///
    /// let [soon, first, then, last] = [
    ///     EventKind::SubscriptionTrialWillEnd,
    ///     EventKind::SubscriptionCreated,
    ///     EventKind::SubscriptionResumed,
    ///     EventKind::SubscriptionDeleted,
    /// ]
    /// .map(EventKind::rank);
    /// assert!(soon < first && first < then && then < last);
    /// ```
    #[must_use]
    pub const fn rank(self) -> Option<Rank> {
        match self.subject() {
            Subject::Subscription(rank) => Some(rank),
            Subject::CheckoutSession | Subject::Customer | Subject::Invoice(_) => None,
        }
    }

    /// The least status that an invoice has after the event; `None` for other events.
    #[must_use]
    pub const fn invoice_status(self) -> Option<InvoiceStatus> {
        match self.subject() {
            Subject::Invoice(status) => Some(status),
            Subject::CheckoutSession | Subject::Customer | Subject::Subscription(_) => None,
        }
    }

    pub(crate) const fn subject(self) -> Subject {
        match self {
            Self::CheckoutSessionCompleted => Subject::CheckoutSession,
            Self::CustomerDeleted => Subject::Customer,
            Self::SubscriptionTrialWillEnd => Subject::Subscription(Rank::Announced),
            Self::SubscriptionCreated => Subject::Subscription(Rank::Created),
            Self::SubscriptionPaused
            | Self::SubscriptionPendingUpdateApplied
            | Self::SubscriptionPendingUpdateExpired
            | Self::SubscriptionResumed
            | Self::SubscriptionUpdated => Subject::Subscription(Rank::Changed),
            Self::SubscriptionDeleted => Subject::Subscription(Rank::Deleted),
            Self::InvoiceUpdated => Subject::Invoice(InvoiceStatus::Draft),
            Self::InvoiceFinalized
            | Self::InvoicePaymentActionRequired
            | Self::InvoicePaymentFailed => Subject::Invoice(InvoiceStatus::Open),
            Self::InvoiceMarkedUncollectible => Subject::Invoice(InvoiceStatus::Uncollectible),
            Self::InvoiceVoided => Subject::Invoice(InvoiceStatus::Void),
            Self::InvoicePaid | Self::InvoicePaymentSucceeded => {
                Subject::Invoice(InvoiceStatus::Paid)
            }
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the README's table of events.
    fn documented(readme: &str) -> Vec<&str> {
        let rows = readme.lines().skip_while(|line| !line.starts_with("| event |")).skip(2);
        rows.map_while(|row| row.strip_prefix("| `")?.split_once('`'))
            .map(|(kind, _)| kind)
            .collect()
    }

    #[test]
    fn the_readme_lists_exactly_the_events_that_are_applied() {
        let readme = include_str!("../../README.md");
        let applied = EventKind::ALL.map(EventKind::as_str);
        assert_eq!(documented(readme), applied);
        // The control: a row less is noticed.
        let shorter = readme.replace("| `invoice.paid` |", "| invoice.paid |");
        assert_ne!(documented(&shorter), applied);
    }

    #[test]
    fn every_name_is_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
            assert_eq!(EventKind::parse(&kind.as_str().to_uppercase()), None);
            assert!(kind.rank().is_none() || kind.invoice_status().is_none(), "{kind}");
        }
    }
}
