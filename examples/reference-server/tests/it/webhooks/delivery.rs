//! Deliveries of Stripe to a running server: waiting events, links, and mail about failed payments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::smtp::mail_server;
use crate::support::webhooks::{customer_of, deliver, subscription};
use crate::support::{Person, Server};

/// How soon after its customer's link an event is applied that waited for it.
const WITHIN: Duration = Duration::from_secs(5);
const JWT_SECRET: &str = "one secret for both, of 32 bytes or more";

async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, asking).await.expect(what);
}

async fn is_pro(server: &Server, path: &str, who: &Person) -> bool {
    server.get(path, who).await.json()["plan"] == "pro"
}

/// Paid before the server knew by whom: applied by itself within five seconds of the link, however long
/// the event would have waited by its own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_before_the_link_is_applied_within_five_seconds_after_it() {
    let server = Server::start_with(&[("WEBHOOK_BACKOFF_MS", "3600000")]).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let received = deliver(&server, &subscription("evt_1", &customer_of(&path), "active")).await;
    assert_eq!(received.json()["status"], "failed");
    assert!(!is_pro(&server, &path, &owner).await);
    let linked = Instant::now();
    let made = server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    assert_eq!(made.json()["customer_id"], customer_of(&path).as_str());
    eventually("it is applied", WITHIN, async || is_pro(&server, &path, &owner).await).await;
    assert!(linked.elapsed() < WITHIN);
    server.stop().await;
}

/// One replica has the event and another makes the link; the event is applied all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_created_on_one_server_wakes_events_on_another() {
    let settings = [("WEBHOOK_BACKOFF_MS", "3600000"), ("JWT_SECRET", JWT_SECRET)];
    let here = Server::start_with(&settings).await;
    let there = Server::start_on(Arc::clone(&here.db), &settings).await;
    let owner = here.sign_in("owner").await;
    let path = here.org(&owner).await;
    let received = deliver(&here, &subscription("evt_1", &customer_of(&path), "active")).await;
    assert_eq!(received.json()["status"], "failed");
    let linked = Instant::now();
    let made = there.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    assert_eq!(made.status, 200, "{made:?}");
    eventually("it is applied", WITHIN, async || is_pro(&here, &path, &owner).await).await;
    assert!(linked.elapsed() < WITHIN);
    there.stop().await;
    here.stop().await;
}

/// An event that names another org in its metadata changes nothing there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_links_nothing() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let org = path.rsplit('/').next().unwrap();
    let mut event = subscription("evt_1", "cus_unlinked", "active");
    event["data"]["object"]["metadata"] = json!({"org_id": org, "tenant_id": org});
    event["data"]["object"]["client_reference_id"] = json!(org);
    assert_eq!(deliver(&server, &event).await.json()["status"], "failed");
    let mut session = event.clone();
    session["id"] = json!("evt_2");
    session["type"] = json!("checkout.session.completed");
    session["data"]["object"]["id"] = json!("cs_not_ours");
    assert_eq!(deliver(&server, &session).await.json()["status"], "ignored");
    let billing = server.get(&format!("{path}/billing"), &owner).await.json();
    assert_eq!((&billing["plan"], &billing["customer_id"]), (&json!("free"), &json!(null)));
    server.stop().await;
}

const ABOUT: &str = "A payment for An org has failed";

/// Each owner gets one mail for each failed attempt, whatever Stripe repeats; members get none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_mailed_once_for_each_failed_payment() {
    let (smtp, mut received) = mail_server(None).await;
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "mt <billing@example.org>")];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    let second = server.sign_in("second").await;
    let member = server.sign_in("member").await;
    let path = server.org(&owner).await;
    server.join(&path, &owner, &second, "admin").await;
    server.join(&path, &owner, &member, "member").await;
    let promoted = json!({"role": "owner"});
    let promoted = server.patch(&format!("{path}/members/{}", second.id), &owner, promoted).await;
    assert_eq!(promoted.status, 200);
    server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    let failed = |id: &str, attempt: u32| {
        json!({
            "id": id, "type": "invoice.payment_failed", "created": 1_795_449_600 + attempt,
            "data": {"object": {
                "id": "in_1", "object": "invoice", "customer": customer_of(&path),
                "attempt_count": attempt, "status": "open",
            }},
        })
    };
    for event in [failed("evt_1", 1), failed("evt_1", 1), failed("evt_1_again", 1)] {
        assert_eq!(deliver(&server, &event).await.json()["status"], "processed");
    }
    assert_eq!(deliver(&server, &failed("evt_2", 2)).await.json()["status"], "processed");
    let mut mailed = Vec::new();
    while mailed.len() < 4 {
        let mail = tokio::time::timeout(Duration::from_secs(20), received.recv()).await;
        let mail = mail.expect("a mail").unwrap();
        // Links and invites may still be on their way.
        if mail.header("Subject").contains(ABOUT) {
            mailed.extend(mail.recipients);
        }
    }
    mailed.sort();
    let to = |person: &Person| format!("RCPT TO:<{}>\r\n", person.email);
    assert_eq!(mailed, [to(&owner), to(&owner), to(&second), to(&second)]);
    let unsent = "select count(*) from mt.outbox where status <> 'sent'";
    eventually("all are marked", WITHIN, async || {
        let unsent: i64 = sqlx::query_scalar(unsent).fetch_one(server.db.admin()).await.unwrap();
        unsent == 0
    })
    .await;
    while let Ok(mail) = received.try_recv() {
        assert!(!mail.header("Subject").contains(ABOUT), "no owner gets more");
    }
    server.stop().await;
}
