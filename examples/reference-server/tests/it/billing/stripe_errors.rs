//! Calls to Stripe that fail, lose their answer, are refused, or concern a deleted customer.

use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use serde_json::{Value, json};

use crate::support::cli::run;
use crate::support::process::ServerProcess;
use crate::support::stripe_api::Stripe;
use crate::support::webhooks::{deliver, subscription};
use crate::support::{Person, Server, problem};

const CUSTOMERS: &str = "/v1/customers";
const SESSIONS: &str = "/v1/checkout/sessions";
const PORTALS: &str = "/v1/billing_portal/sessions";

fn settings(stripe: &Stripe) -> [(&'static str, &str); 2] {
    [("STRIPE_SECRET_KEY", "sk_test_calls"), ("STRIPE_API_BASE", stripe.base.as_str())]
}

struct Story {
    server: Server,
    stripe: Stripe,
    owner: Person,
    org: String,
}

impl Story {
    async fn begin() -> Self {
        let stripe = Stripe::start().await;
        let server = Server::start_with(&settings(&stripe)).await;
        let owner = server.sign_in("owner").await;
        let org = server.org(&owner).await;
        Self { server, stripe, owner, org }
    }

    async fn ask(&self, page: &str) -> crate::support::Answer {
        self.server.post(&format!("{}/billing/{page}", self.org), &self.owner, Value::Null).await
    }

    /// The state of the org's customer.
    async fn customer(&self) -> Value {
        let billing = self.server.get(&format!("{}/billing", self.org), &self.owner).await;
        billing.json()["customer_id"].clone()
    }

    async fn calls_under_way(&self) -> i64 {
        sqlx::query_scalar("select count(*) from mt.provider_calls")
            .fetch_one(self.server.db.admin())
            .await
            .unwrap()
    }
}

/// Stripe keeps a failure under its key for a day, and the server asks under another one. The control is the
/// stand-in itself: a key that was answered with a failure is answered with it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_call_is_retried_with_a_new_idempotency_key() {
    let story = Story::begin().await;
    for (page, path) in [("customer", CUSTOMERS), ("checkout", SESSIONS), ("portal", PORTALS)] {
        let before = story.stripe.keys().len();
        story.stripe.fails(500, json!({"type": "api_error"}));
        let failed = story.ask(page).await;
        assert_eq!(failed.outcome(), problem(503, "unavailable"), "{page}");
        let answered = story.ask(page).await;
        assert!(answered.status < 300, "{page}: {answered:?}");
        let keys = story.stripe.keys();
        assert_eq!(keys.len(), before + 2, "{page}");
        assert_ne!(keys[before], keys[before + 1], "{page}");
        assert_eq!(story.stripe.made(path), 1, "{page}");
        let again = reqwest::Client::new()
            .post(format!("{}{path}", story.stripe.base))
            .header("idempotency-key", &keys[before])
            .send();
        assert_eq!(again.await.unwrap().status(), 500, "the control: the key keeps its failure");
        assert_eq!(story.calls_under_way().await, 0);
    }
    // A key is good for one answer, also of success: a buyer who comes back after the minute in which the first page
    // is shown again gets a second one.
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let ago = "update mt.checkout_sessions set created_at = now() - interval '2 minutes'";
        story.server.sql(ago).await;
        sessions.push(story.ask("checkout").await.json()["session_id"].clone());
    }
    assert_ne!(sessions[0], sessions[1]);
    story.server.stop().await;
}

/// Whatever became of the call, it is repeated under its own key: by the next request, after a restart, and by
/// another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_with_a_lost_answer_is_retried_with_the_same_idempotency_key() {
    let mut story = Story::begin().await;
    for (page, path) in [("customer", CUSTOMERS), ("checkout", SESSIONS), ("portal", PORTALS)] {
        let before = story.stripe.keys().len();
        story.stripe.loses(1);
        assert_eq!(story.ask(page).await.outcome(), problem(503, "unavailable"), "{page}");
        assert_eq!(story.stripe.made(path), 1, "the call has arrived");
        let db = Arc::clone(&story.server.db);
        let restarted = Server::start_on(db, &settings(&story.stripe)).await;
        std::mem::replace(&mut story.server, restarted).stop().await;
        let answered = story.ask(page).await;
        assert!(answered.status < 300, "{page}: {answered:?}");
        let keys = story.stripe.keys();
        assert_eq!(keys[before..], [keys[before].clone(), keys[before].clone()], "{page}");
        assert_eq!(story.stripe.made(path), 1, "{page}");
        assert_eq!(story.calls_under_way().await, 0);
    }
    assert_eq!(story.customer().await, "cus_made");
    story.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_concurrent_processes_create_one_customer() {
    let story = Story::begin().await;
    let db = Arc::clone(&story.server.db);
    let other = Server::start_on(db, &settings(&story.stripe)).await;
    let path = format!("{}/billing/customer", story.org);
    let asking = (0..8).map(|number| {
        let server = if number % 2 == 0 { &story.server } else { &other };
        server.post(&path, &story.owner, Value::Null)
    });
    for answer in futures_util::future::join_all(asking).await {
        let made = json!({"customer_id": "cus_made"});
        assert_eq!((answer.status, answer.json()), (200, made), "{answer:?}");
    }
    assert_eq!(story.stripe.made(CUSTOMERS), 1);
    other.stop().await;
    story.server.stop().await;
}

/// Refusals that no waiting cures are not "try again", and the log says once what Stripe said. Failures that pass
/// are the control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_stripe_error_is_its_own_problem_and_logged() {
    let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let stripe = Stripe::start().await;
    let mut settings = settings(&stripe).to_vec();
    settings.push(("LOG_FORMAT", "json"));
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    let in_process = Server::start_on(Arc::new(db), &[]).await;
    let owner = in_process.sign_in("owner").await;
    let org = in_process.org(&owner).await;
    let bearer = format!("Bearer {}", owner.token);
    let ask = async |page: &str| {
        let path = format!("{org}/billing/{page}");
        let headers = [("authorization", bearer.as_str())];
        server.send(reqwest::Method::POST, &path, &headers, None).await
    };
    let invalid = |code: Value, param: Value| {
        json!({"type": "invalid_request_error", "code": code, "param": param,
            "message": "Invalid API Key provided: sk_test_*****alls"})
    };
    for (page, status, error, code) in [
        ("customer", 401, invalid(Value::Null, Value::Null), "billing-misconfigured"),
        ("customer", 429, json!({"code": "rate_limit"}), "unavailable"),
        (
            "checkout",
            400,
            invalid(json!("resource_missing"), json!("line_items[0][price]")),
            "billing-misconfigured",
        ),
        ("portal", 400, invalid(Value::Null, Value::Null), "billing-misconfigured"),
        ("portal", 500, json!({"type": "api_error"}), "unavailable"),
    ] {
        if page != "customer" {
            assert_eq!(ask("customer").await.status, 200);
        }
        stripe.fails(status, error);
        let expected = if code == "unavailable" { 503 } else { 500 };
        let refused = ask(page).await;
        assert_eq!(refused.outcome(), problem(expected, code), "{page} {status}: {refused:?}");
        assert_eq!(refused.headers.contains_key("retry-after"), expected == 503, "{page} {status}");
    }
    let (exit, lines) = server.stop();
    assert!(exit.success());
    let log = lines.join("\n");
    assert!(!log.contains("sk_test_") && !log.contains("*****alls"), "{log}");
    let refusals: Vec<&String> =
        lines.iter().filter(|line| line.contains("stripe refuses what the settings")).collect();
    assert_eq!(refusals.len(), 3, "{log}");
    for line in &refusals {
        for part in ["req_of_the_stand_in", "invalid_request_error"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    for part in ["resource_missing", "line_items[0][price]"] {
        assert!(refusals[1].contains(part), "{part}: {}", refusals[1]);
    }
    in_process.stop().await;
}

/// The call finds out, or the event says so: either way the next call has a new customer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customer_deleted_at_stripe_is_replaced() {
    let story = Story::begin().await;
    for (number, page) in ["checkout", "portal"].into_iter().enumerate() {
        assert_eq!(story.ask("customer").await.status, 200);
        let customer = story.customer().await;
        story.stripe.deletes(customer.as_str().unwrap());
        let answered = story.ask(page).await;
        assert!(answered.status < 300, "{page}: {answered:?}");
        assert_eq!(story.stripe.made(CUSTOMERS), number + 2);
        assert_eq!(story.customer().await, format!("cus_made_{}", number + 2));
        // Events of the old one concern no org.
        let late = subscription(&format!("evt_{page}"), customer.as_str().unwrap(), "active");
        let told = deliver(&story.server, &late).await.json();
        assert_eq!((&told["status"], &told["reason"]), (&json!("ignored"), &json!("tenant_gone")));
    }
    let event = json!({"id": "evt_deleted", "type": "customer.deleted", "created": 1_795_449_700,
        "data": {"object": {"id": "cus_made_3", "object": "customer"}}});
    assert_eq!(deliver(&story.server, &event).await.json()["status"], "processed");
    assert_eq!(story.customer().await, Value::Null);
    assert_eq!(story.ask("customer").await.json(), json!({"customer_id": "cus_made_4"}));

    // A key of another account knows no customer: an org that pays keeps its plan, until Stripe says "deleted".
    let paid = subscription("evt_paid", "cus_made_4", "active");
    assert_eq!(deliver(&story.server, &paid).await.json()["status"], "processed");
    let unknown =
        json!({"type": "invalid_request_error", "code": "resource_missing", "param": "customer"});
    story.stripe.fails(400, unknown.clone());
    assert_eq!(story.ask("portal").await.outcome(), problem(500, "billing-misconfigured"));
    let plan = async || story.server.get(&story.org, &story.owner).await.json()["plan"].clone();
    assert_eq!((story.customer().await, plan().await), (json!("cus_made_4"), json!("pro")));
    story.stripe.deletes("cus_made_4");
    assert_eq!(story.ask("portal").await.status, 200);
    assert_eq!((story.customer().await, plan().await), (json!("cus_made_5"), json!("free")));
    story.server.stop().await;
}

/// An org with a subscription is sent to the portal; once the subscription has ended, it can buy again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkout_beside_a_subscription_leads_to_the_portal() {
    let story = Story::begin().await;
    assert_eq!(story.ask("checkout").await.status, 201);
    for (number, status) in
        ["active", "trialing", "past_due", "unpaid", "paused"].iter().enumerate()
    {
        let mut event = subscription(&format!("evt_{number}"), "cus_made", status);
        event["created"] = json!(1_795_449_700 + number);
        assert_eq!(deliver(&story.server, &event).await.json()["status"], "processed");
        let refused = story.ask("checkout").await;
        assert_eq!(refused.outcome(), problem(409, "already-subscribed"), "{status}");
        assert_eq!(refused.json()["portal"], format!("{}/billing/portal", story.org));
        assert_eq!(story.ask("portal").await.status, 200, "{status}");
    }
    assert_eq!(story.stripe.made(SESSIONS), 1);
    let mut ended = subscription("evt_end", "cus_made", "canceled");
    ended["created"] = json!(1_795_449_800);
    deliver(&story.server, &ended).await;
    assert_eq!(story.ask("checkout").await.status, 201);
    story.server.stop().await;
}

/// A free org whose first payment never came is what it was: free, in good standing, and it can write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_first_purchase_leaves_a_free_org_unchanged() {
    let story = Story::begin().await;
    assert_eq!(story.ask("checkout").await.status, 201);
    for (id, status, at) in [("evt_1", "incomplete", 1), ("evt_2", "incomplete_expired", 2)] {
        let mut event = subscription(id, "cus_made", status);
        event["created"] = json!(1_795_449_600 + at);
        assert_eq!(deliver(&story.server, &event).await.json()["status"], "processed");
        let org = story.server.get(&story.org, &story.owner).await.json();
        assert_eq!((&org["plan"], &org["standing"]), (&json!("free"), &json!("good")), "{status}");
        let named = json!({"name": format!("while {status}")});
        let made = story.server.post(&format!("{}/projects", story.org), &story.owner, named).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(story.ask("checkout").await.status, 201, "{status}");
    }
    story.server.stop().await;
}

/// A subscription of a customer.
fn subscribed(id: &str, customer: &str, status: &str, price: &str) -> Value {
    json!({
        "id": id, "object": "subscription", "customer": customer, "status": status,
        "livemode": false, "created": 1_795_449_600,
        "items": {"has_more": false, "data": [{"price": {"id": price}}]},
    })
}

enum DeletedBy {
    Owner,
    Operator,
    /// Without what the database does then: the control.
    OwnerUnnoticed,
}

/// However the org is deleted, and although Stripe fails at first: what it pays for is canceled, once, and nothing
/// else is. Without the trigger nothing is canceled, and the customer's events wait for a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_an_org_cancels_its_subscription_at_stripe() {
    for by in [DeletedBy::Owner, DeletedBy::Operator, DeletedBy::OwnerUnnoticed] {
        let story = Story::begin().await;
        assert_eq!(story.ask("customer").await.status, 200);
        let paid = subscription("evt_1", "cus_made", "active");
        assert_eq!(deliver(&story.server, &paid).await.json()["status"], "processed");
        story.stripe.shows(
            "cus_made",
            vec![
                subscribed("sub_ours", "cus_made", "active", "price_pro"),
                subscribed("sub_over", "cus_made", "canceled", "price_pro"),
                subscribed("sub_other", "cus_made", "active", "price_other"),
            ],
        );
        story.stripe.fails(500, json!({"type": "api_error"}));
        if matches!(by, DeletedBy::OwnerUnnoticed) {
            story.server.sql("alter table mt.billing_customers disable trigger user").await;
        }
        match by {
            DeletedBy::Owner | DeletedBy::OwnerUnnoticed => {
                assert_eq!(story.server.delete(&story.org, &story.owner).await.status, 204);
            }
            DeletedBy::Operator => {
                let org = story.org.rsplit('/').next().unwrap();
                let url = story.server.db.login_url();
                let settings = [("APP_ENV", "test"), ("DATABASE_URL", url.as_str())];
                let output = run(&["orgs", "delete", org, "--yes"], &settings).await;
                assert!(output.status.success(), "{output:?}");
            }
        }
        let late = deliver(&story.server, &subscription("evt_2", "cus_made", "past_due")).await;
        if matches!(by, DeletedBy::OwnerUnnoticed) {
            assert_eq!(late.json()["status"], "failed", "the control");
            let messages: i64 = sqlx::query_scalar("select count(*) from mt.outbox")
                .fetch_one(story.server.db.admin())
                .await
                .unwrap();
            assert_eq!((messages, story.stripe.canceled()), (0, Vec::new()), "the control");
            story.server.stop().await;
            continue;
        }
        let told = late.json();
        assert_eq!((&told["status"], &told["reason"]), (&json!("ignored"), &json!("tenant_gone")));
        // Both messages, of the org and of the late event, are delivered in the end.
        let delivering = async {
            loop {
                let open: i64 = sqlx::query_scalar(
                    "with due as (update mt.outbox set next_attempt_at = now() \
                         where status = 'pending' returning 1) \
                     select count(*) from mt.outbox where status <> 'sent'",
                )
                .fetch_one(story.server.db.admin())
                .await
                .unwrap();
                if open == 0 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), delivering).await;
        waited.expect("the messages are delivered");
        assert_eq!(story.stripe.canceled(), ["sub_ours"]);
        story.server.stop().await;
    }
}
