//! The subscriptions of a deleted tenant's customer are canceled.

use mt_core::pg::billing::departed::DEPARTED;
use mt_core::pg::ledger::outbox::{Handler as _, HandlerOutcome, Message};
use mt_stripe::billing::{BillingConfig, Departures};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Service, config};
use crate::support::stripe_api::{EARLY, StripeApi};

fn message(provider: &str) -> Message {
    Message {
        id: Uuid::now_v7(),
        tenant: None,
        topic: DEPARTED.to_owned(),
        dedupe_key: "k".to_owned(),
        payload: json!({"provider": provider, "account": "acct_1", "customer": "cus_1"}),
        attempts: 1,
    }
}

async fn with_stripe() -> (StripeApi, Departures) {
    let service = Service::new().await;
    let stripe = StripeApi::start().await;
    let billing = service.billing(BillingConfig { client: Some(stripe.client()), ..config() });
    (stripe, billing.departures())
}

fn shown(id: &str, status: &str, price: &str) -> Value {
    json!({
        "id": id, "object": "subscription", "customer": "cus_1", "status": status,
        "created": 1, "livemode": false, "cancel_at_period_end": false,
        "items": {"has_more": false, "data": [{"id": format!("si_{id}"), "price": {"id": price}}]},
    })
}

/// One that has ended, and one to another product's price, are left alone.
#[tokio::test]
async fn subscriptions_to_our_prices_are_canceled() {
    let (mut stripe, departures) = with_stripe().await;
    let message = message("stripe");
    let (outcome, ()) = tokio::join!(departures.handle(&message), async {
        let question = stripe.question().await;
        assert!(question.path().starts_with("/v1/subscriptions?"), "{}", question.path());
        let data = [
            shown("sub_ended", "canceled", "price_plus"),
            shown("sub_other", "active", "price_of_another_product"),
            shown("sub_ours", "past_due", "price_plus"),
        ];
        question.show(EARLY, &json!({"object": "list", "has_more": false, "data": data}));
        let question = stripe.question().await;
        let line = question.head.lines().next().unwrap();
        assert_eq!(line, "delete /v1/subscriptions/sub_ours http/1.1");
        assert_eq!(question.header("stripe-account"), Some("acct_1"));
        question.show(EARLY, &json!({"id": "sub_ours", "status": "canceled"}));
    });
    assert!(matches!(outcome, HandlerOutcome::Sent), "{outcome:?}");
    assert!(stripe.is_silent());
}

#[tokio::test]
async fn refused_cancellation_is_deferred() {
    let (mut stripe, departures) = with_stripe().await;
    let message = message("stripe");
    let (outcome, ()) = tokio::join!(departures.handle(&message), async {
        stripe.question().await.refuse(401, "", "api_key_expired");
    });
    assert!(matches!(outcome, HandlerOutcome::Deferred { reason: "stripe", .. }), "{outcome:?}");
}

#[tokio::test]
async fn messages_that_are_not_for_stripe_are_skipped() {
    let (stripe, departures) = with_stripe().await;
    let outcome = departures.handle(&message("another")).await;
    assert!(matches!(outcome, HandlerOutcome::Skipped("other_provider")), "{outcome:?}");
    assert!(stripe.is_silent());
    let service = Service::new().await;
    let outcome = service.billing(config()).departures().handle(&message("stripe")).await;
    assert!(matches!(outcome, HandlerOutcome::Skipped("no_key")), "{outcome:?}");
}
