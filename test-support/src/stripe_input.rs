//! Everything that `mt-stripe` does with untrusted bytes before it stores anything, in one call.
//!
//! The fuzzer (`fuzz/`) and the property tests (`events/malformed.rs`) call these functions. A panic is a bug.

use chrono::DateTime;
use mt_core::billing::{BillingState, PriceTable, Purchases};
use mt_stripe::event::{Effect, Event};
use mt_stripe::invoice::InvoiceState;
use mt_stripe::known::{Answer, FetchStart, KnownSubscription};
use mt_stripe::order::SubscriptionState;
use mt_stripe::signature::Verifier;
use mt_stripe::subscription::Subscription;

/// Computes what a tenant with these subscriptions and invoices has paid for.
#[must_use]
pub fn project(
    subscriptions: &[KnownSubscription],
    invoices: &[InvoiceState],
    prices: &PriceTable,
) -> BillingState {
    let purchases = Purchases {
        subscriptions: subscriptions.iter().filter_map(KnownSubscription::snapshot).collect(),
        invoices: invoices.iter().map(InvoiceState::snapshot).collect(),
    };
    mt_core::billing::project(&purchases, prices)
}

/// Verifies a delivery that is not signed. The secrets are long enough that no input guesses a signature.
///
/// # Panics
///
/// If the delivery is accepted.
pub fn verify(header: &[u8], body: &[u8]) {
    let verifier = Verifier::new(["whsec_0123456789abcdef", "whsec_fedcba9876543210"]).unwrap();
    let now = DateTime::from_timestamp(1_795_449_600, 0).unwrap();
    assert!(verifier.check_signature(&[header], body, now).is_err());
    assert!(verifier.check_signature(&[header, header], body, now).is_err());
}

/// Parses an event as if it had been verified, and projects it onto a tenant's state.
///
/// # Panics
///
/// If the parsed event breaks one of its invariants.
pub fn parse(body: &[u8]) {
    let Ok(event) = Event::parse(body) else { return };
    for text in [
        Some(event.id()),
        Some(event.kind()),
        Some(event.dedupe_key()),
        event.account(),
        event.api_version(),
        event.asks_about(),
        event.customer(),
        event.object_id(),
    ]
    .into_iter()
    .flatten()
    {
        // What can be stored: Postgres takes no NUL, and an index no long text.
        assert!(!text.is_empty() && text.len() <= 255 && !text.contains('\0'), "{text:?}");
    }
    let _ = (event.livemode(), event.is_thin());
    let created = event.created().unwrap_or_default();
    let prices = PriceTable::new("free").plan("pro", ["price_pro"]);
    match event.effect() {
        Effect::Subscription(change) => {
            let shown = change.after.clone();
            let seen = SubscriptionState::of(change, event.id(), created);
            assert_eq!(seen.clone().join(seen.clone()), seen);
            let json = serde_json::to_string(&seen).unwrap();
            assert_eq!(serde_json::from_str::<SubscriptionState>(&json).unwrap(), seen);
            let start = FetchStart::new(1, created, &seen);
            let known = KnownSubscription::from(seen);
            answered(known.clone(), &start, shown);
            let _ = project(&[known], &[], &prices);
        }
        Effect::Invoice(invoice) => {
            let seen = InvoiceState::of(invoice, created);
            assert_eq!(seen.clone().join(seen.clone()), seen);
            let _ = project(&[], &[seen], &prices);
        }
        Effect::Checkout(session) => assert!(!session.id.is_empty()),
        Effect::CustomerDeleted => assert_eq!(event.customer(), event.object_id()),
        Effect::Malformed(flaw) => assert_eq!(event.flaw(), Some(flaw)),
        Effect::None(reason) => assert!(!reason.is_empty()),
    }
}

/// An answer that says what the event said settles it, unless its list of items was cut short.
fn answered(known: KnownSubscription, start: &FetchStart, shown: Subscription) {
    let (at, truncated) = (DateTime::UNIX_EPOCH, shown.truncated);
    let answered = known.answered(start, Answer { subscription: Some(shown), at });
    assert_eq!(answered.current().unwrap().needs_refetch, truncated);
}
