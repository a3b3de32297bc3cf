//! Checkout of the plan `pro`: on the simulated page of development, and on Stripe's.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::stripe_api::Stripe;
use crate::support::webhooks::deliver;
use crate::support::{Server, problem};

/// Two requests from free to pro, signed or not; and once, however often the page is paid on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pro_is_two_requests_away_in_development() {
    for secret in ["whsec_of_the_tests", ""] {
        let server = Server::start_with(&[("STRIPE_WEBHOOK_SECRET", secret)]).await;
        let owner = server.sign_in("owner").await;
        let path = server.org(&owner).await;
        let opened = server.post(&format!("{path}/billing/checkout"), &owner, json!(null)).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        assert_eq!(opened.headers["location"], format!("{path}/billing"));
        let session = opened.json()["session_id"].as_str().unwrap().to_owned();
        let page = format!("/dev/checkout/{session}");
        let url = opened.json()["url"].as_str().unwrap().to_owned();
        assert_eq!(url, format!("http://localhost:8000{page}"));

        let paid = server.send(Method::POST, &page, None, None).await;
        assert_eq!(paid.status, 200, "{paid:?}");
        let events = paid.json()["events"].as_array().unwrap().clone();
        assert_eq!(events.len(), 3);
        for event in &events {
            assert_eq!(
                (&event["status"], &event["duplicate"]),
                (&json!("processed"), &json!(false))
            );
        }
        let billing = server.get(&format!("{path}/billing"), &owner).await.json();
        assert_eq!((&billing["plan"], &billing["standing"]), (&json!("pro"), &json!("good")));
        assert_eq!(billing["subscription_status"], "active");

        let again = server.send(Method::POST, &page, None, None).await;
        assert!(again.json()["events"].as_array().unwrap().iter().all(|e| e["duplicate"] == true));
        assert_eq!(server.get(&format!("{path}/billing"), &owner).await.json(), billing);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_on_an_unknown_checkout_page_is_refused() {
    let server = Server::start().await;
    for session in ["cs_dev_0123456789abcdef", "cs_made_elsewhere", "x"] {
        let paid = server.send(Method::POST, &format!("/dev/checkout/{session}"), None, None).await;
        assert_eq!(paid.outcome(), problem(404, "not-found"), "{session}");
    }
    server.stop().await;
}

/// With a key the pages are Stripe's, for the customer that the server made and linked before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_stripe_key_the_pages_are_stripes() {
    let stripe = Stripe::start().await;
    let settings = [
        ("STRIPE_SECRET_KEY", "sk_test_pages"),
        ("STRIPE_API_BASE", stripe.base.as_str()),
        ("STRIPE_PRICE_PRO", "price_year,price_month"),
    ];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let opened = server.post(&format!("{path}/billing/checkout"), &owner, json!(null)).await;
    let page = json!({"session_id": "cs_made", "url": "https://pay.example/cs_made"});
    assert_eq!((opened.status, opened.json()), (201, page), "{opened:?}");
    let portal = server.post(&format!("{path}/billing/portal"), &owner, json!(null)).await;
    assert_eq!((portal.status, portal.json()), (200, json!({"url": "https://pay.example/portal"})));
    let billing = server.get(&format!("{path}/billing"), &owner).await.json();
    assert_eq!(billing["customer_id"], "cus_made");

    let asked = stripe.asked();
    let paths: Vec<&str> = asked.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/v1/customers", "/v1/checkout/sessions", "/v1/billing_portal/sessions"]);
    let form = &asked[1].1;
    for field in [
        "mode=subscription",
        "customer=cus_made",
        "line_items%5B0%5D%5Bprice%5D=price_year",
        "success_url=http%3A%2F%2Flocalhost%3A8000%2Fbilling%3Forg%3D",
        "cancel_url=http%3A%2F%2Flocalhost%3A8000%2Fbilling%3Forg%3D",
    ] {
        assert!(form.contains(field), "{field} in {form}");
    }
    // Nothing here stands in for Stripe's page.
    let paid = server.send(Method::POST, "/dev/checkout/cs_made", None, None).await;
    assert_eq!(paid.status, 404);
    // The session was noted, so its event is known for one of ours.
    let completed = json!({
        "id": "evt_1", "type": "checkout.session.completed", "created": 1_795_449_600,
        "data": {"object": {"id": "cs_made", "object": "checkout.session", "customer": "cus_made"}},
    });
    assert_eq!(deliver(&server, &completed).await.json()["status"], "processed");
    server.stop().await;
}

/// Stripe is away: nothing is made, and the client is told to try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_stripe_there_is_no_page() {
    let stripe = Stripe::start().await;
    let base = stripe.base.clone();
    drop(stripe);
    let settings = [("STRIPE_SECRET_KEY", "sk_test_pages"), ("STRIPE_API_BASE", base.as_str())];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    for page in ["customer", "checkout", "portal"] {
        let answer = server.post(&format!("{path}/billing/{page}"), &owner, json!(null)).await;
        assert_eq!(answer.outcome(), problem(503, "unavailable"), "{page}");
        assert!(!answer.text.contains("sk_test"), "{answer:?}");
    }
    server.stop().await;
}

/// Within a minute there is one open session for an org, however often and however many at once ask for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn org_has_one_open_checkout_session_per_minute() {
    let server = Arc::new(Server::start().await);
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let path = format!("{org}/billing/checkout");
    let mut asking = JoinSet::new();
    for _ in 0..6 {
        let (server, owner, path) = (Arc::clone(&server), owner.clone(), path.clone());
        asking.spawn(async move { server.post(&path, &owner, json!(null)).await });
    }
    let answers = asking.join_all().await;
    let sessions: BTreeSet<_> = answers.iter().map(|answer| answer.text.clone()).collect();
    assert_eq!(sessions.len(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:#?}");
    let session = async || {
        let opened = server.post(&path, &owner, json!(null)).await.json();
        opened["session_id"].as_str().unwrap().to_owned()
    };
    let first = session().await;
    assert!(sessions.first().unwrap().contains(&first));

    // A minute later there is another one; and the control of what "open" means: a session that is completed is
    // not shown again.
    server.sql("update mt.checkout_sessions set created_at = now() - interval '61 seconds'").await;
    let second = session().await;
    assert_ne!(first, second);
    assert_eq!(second, session().await);
    let complete = "update mt.checkout_sessions set customer_id = 'cus', completed_at = now()";
    server.sql(complete).await;
    assert_ne!(second, session().await);
    // Nor is one that was made for a customer who pays no more.
    let fourth = session().await;
    server.sql("update mt.checkout_sessions set made_for = 'cus_of_before'").await;
    assert_ne!(fourth, session().await);
}
