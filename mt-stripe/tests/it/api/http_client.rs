//! The Stripe API client, against a scripted server.

use mt_stripe::client::StripeClient;
use mt_stripe::fetch::{FetchError, SubscriptionFetcher as _, SubscriptionName};
use serde_json::json;

use crate::subscriptions::refetch::{SUB, shown};
use crate::support::START;
use crate::support::stripe_api::{EARLY, LATE, StripeApi};

#[tokio::test]
async fn items_of_all_pages_are_fetched() {
    let mut stripe = StripeApi::start().await;
    let client = stripe.client();
    let name = SubscriptionName { account: "acct_1", ..SUB };
    let mut first = shown("active");
    first["items"] =
        json!({"has_more": true, "data": [{"id": "si_1", "price": {"id": "price_a"}}]});
    let rest = json!({"has_more": false, "data": [{"id": "si_2", "price": {"id": "price_b"}}]});
    let (answer, ()) = tokio::join!(client.fetch(&name), async {
        let question = stripe.question().await;
        assert!(question.head.contains("stripe-account: acct_1"), "{}", question.head);
        question.show(EARLY, &first);
        let question = stripe.question().await;
        let path = "/v1/subscription_items?subscription=sub_cus_1&limit=100&starting_after=si_1";
        assert_eq!(question.path(), path);
        question.show(LATE, &rest);
    });
    let answer = answer.unwrap();
    assert_eq!(answer.at.timestamp(), START + 3600);
    let subscription = answer.subscription.unwrap();
    assert_eq!(subscription.prices, ["price_a", "price_b"]);
    assert!(!subscription.truncated);
}

#[tokio::test]
async fn incomplete_response_is_an_error() {
    let mut stripe = StripeApi::start().await;
    let client = stripe.client();
    let mut other_mode = shown("active");
    other_mode["livemode"] = json!(true);
    let mut other_name = shown("active");
    other_name["id"] = json!("sub_2");
    let bare = json!({"id": "sub_cus_1", "items": [true]});
    let locked = json!({"error": {"code": "lock_timeout"}});
    for (status, body, expected) in [
        (200, "no json".to_owned(), "later"),
        (200, "[1]".to_owned(), "later"),
        (200, "\"sub_cus_1\"".to_owned(), "later"),
        (200, bare.to_string(), "read"),
        (200, other_name.to_string(), "later"),
        (200, other_mode.to_string(), "never"),
        (200, " ".repeat(2 * 1024 * 1024), "later"),
        (302, String::new(), "never"),
        (404, "{}".to_owned(), "never"),
        (403, "<html>".to_owned(), "never"),
        (409, locked.to_string(), "later"),
    ] {
        let (answer, ()) = tokio::join!(client.fetch(&SUB), async {
            let question = stripe.question().await;
            question.answer(status, EARLY, "location: http://127.0.0.1:9/\r\n", &body);
        });
        let became = match &answer {
            Ok(_) => "read",
            Err(error) if error.is_temporary() => "later",
            Err(_) => "never",
        };
        assert_eq!(became, expected, "{status} {}: {answer:?}", &body[..body.len().min(40)]);
        assert!(!format!("{answer:?}").contains("rk_test"), "{answer:?}");
    }
    // An answer that does not say when it was made.
    let (answer, ()) = tokio::join!(client.fetch(&SUB), async {
        stripe.question().await.answer(200, "yesterday", "", &shown("active").to_string());
    });
    assert!(matches!(answer, Err(FetchError::Unavailable { .. })), "{answer:?}");
}

#[test]
fn api_key_is_sent_over_https_only() {
    let client = || StripeClient::new("sk_live_1").unwrap();
    for here in
        ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://stripe.example"]
    {
        assert!(client().with_base(here).is_ok(), "{here}");
    }
    for away in ["http://stripe.example", "http://10.0.0.1", "ftp://localhost", "localhost"] {
        assert!(client().with_base(away).is_err(), "{away}");
    }
    for bad in ["", " ", "sk_live_1\n", "sk live", "sk_\u{e9}"] {
        assert!(StripeClient::new(bad).is_err(), "{bad:?}");
    }
}
