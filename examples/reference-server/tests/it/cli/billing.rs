//! `mt-server billing`, beside a running server.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::Server;
use crate::support::cli::run;
use crate::support::stripe_api::Stripe;
use crate::support::webhooks::deliver;

async fn reconcile(server: &Server, stripe: &Stripe, arguments: &[&str]) -> Output {
    billing(server, stripe, &[&["reconcile"], arguments].concat()).await
}

async fn billing(server: &Server, stripe: &Stripe, arguments: &[&str]) -> Output {
    let url = server.db.login_url();
    let settings = [
        ("APP_ENV", "test"),
        ("STRIPE_SECRET_KEY", "sk_test_reconcile"),
        ("STRIPE_API_BASE", stripe.base.as_str()),
        ("DATABASE_URL", url.as_str()),
    ];
    run(&[&["billing"], arguments].concat(), &settings).await
}

fn subscription(customer: &str, status: &str) -> Value {
    json!({
        "id": format!("sub_of_{customer}"), "object": "subscription", "customer": customer,
        "status": status, "livemode": false, "created": 1_795_449_600,
        "items": {"has_more": false, "data": [{
            "price": {"id": "price_pro"}, "current_period_end": 1_798_041_600,
        }]},
    })
}

fn out(output: &Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(!err.contains("sk_test_reconcile"), "{err}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_command_corrects_what_no_event_reported() {
    let (server, stripe) = (Server::start().await, Stripe::start().await);
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let made = server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    let customer = made.json()["customer_id"].as_str().unwrap().to_owned();
    stripe.shows(&customer, vec![subscription(&customer, "active")]);
    let plan = async || server.get(&path, &owner).await.json()["plan"].clone();
    assert_eq!(plan().await, "free");

    let said = out(&reconcile(&server, &stripe, &["--dry-run"]).await, 0);
    assert!(said.contains(&customer) && said.contains("free none") && said.contains("pro active"));
    assert!(said.ends_with("1 compared, 1 to correct\n"), "{said}");
    assert_eq!(plan().await, "free");

    // Too many at first: it waits and asks again.
    stripe.refuses(1);
    let said = out(&reconcile(&server, &stripe, &["--json"]).await, 0);
    let said: Value = serde_json::from_str(&said).unwrap();
    let org = path.rsplit('/').next().unwrap();
    assert_eq!((&said["compared"], &said["corrected"][0]["org_id"]), (&json!(1), &json!(org)));
    assert_eq!(said["corrected"][0]["before"]["subscription_status"], "none");
    assert_eq!(said["corrected"][0]["after"]["plan"], "pro");
    assert_eq!(plan().await, "pro");

    let said = out(&reconcile(&server, &stripe, &[]).await, 0);
    assert_eq!(said, "1 compared, 0 corrected\n");
    let said = out(&reconcile(&server, &stripe, &["--after", org]).await, 0);
    assert_eq!(said, "0 compared, 0 corrected\n");
    out(&reconcile(&server, &stripe, &["--after", "everything"]).await, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_without_a_stripe_key_is_an_error() {
    let output = run(&["billing", "reconcile"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        err,
        "mt-server: `STRIPE_SECRET_KEY` is not set: there is no Stripe account to compare with\n"
    );
}

/// An org that pays twice is shown to operators; the one that pays once is the control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orgs_whose_billing_is_flagged_are_listed() {
    let (server, stripe) = (Server::start().await, Stripe::start().await);
    let owner = server.sign_in("owner").await;
    let mut flagged = Value::Null;
    for subscriptions in [1, 2] {
        let path = server.org(&owner).await;
        let made = server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
        let customer = made.json()["customer_id"].as_str().unwrap().to_owned();
        let mut names = Vec::new();
        for number in 0..subscriptions {
            let mut object = subscription(&customer, "active");
            object["id"] = json!(format!("sub_{subscriptions}_{number}"));
            names.push(object["id"].clone());
            let event = json!({
                "id": format!("evt_{subscriptions}_{number}"), "created": 1_795_449_600,
                "type": "customer.subscription.created", "data": {"object": object},
            });
            assert_eq!(deliver(&server, &event).await.json()["status"], "processed");
        }
        flagged = json!({
            "org_id": path.rsplit('/').next().unwrap(), "customer_id": customer,
            "flags": ["several_subscriptions"], "subscriptions": names,
        });
    }
    let said = out(&billing(&server, &stripe, &["flagged", "--json"]).await, 0);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), json!({"items": [flagged]}));
    let said = out(&billing(&server, &stripe, &["flagged"]).await, 0);
    assert!(said.contains("several_subscriptions") && said.contains("sub_2_0, sub_2_1"), "{said}");
    server.stop().await;
}
