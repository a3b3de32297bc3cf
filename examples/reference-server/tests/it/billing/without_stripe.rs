//! Production without a Stripe key: billing routes answer with a problem.

use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, problem, production};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_without_a_key_answers_billing_calls_with_a_problem() {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let mut settings = production();
    settings.remove("DATABASE_URL");
    let settings: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let secrets: Vec<_> =
        settings.iter().copied().filter(|(name, _)| name.contains("SECRET")).collect();
    // With the same secrets, and where the tokens to sign in with are in the answers.
    let beside = Server::start_on(Arc::clone(&db), &secrets).await;
    let server = Server::start_on(Arc::clone(&db), &settings).await;
    let owner = beside.sign_in("owner").await;
    let path = beside.org(&owner).await;
    for call in ["customer", "checkout", "portal"] {
        let refused = server.post(&format!("{path}/billing/{call}"), &owner, json!(null)).await;
        assert_eq!(refused.outcome(), problem(500, "billing-misconfigured"), "{call}");
    }
    let linked: i64 = sqlx::query_scalar("select count(*) from mt.billing_customers")
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(linked, 0, "no customer is made up");
    // The rest works.
    let billing = server.get(&format!("{path}/billing"), &owner).await;
    assert_eq!((billing.status, &billing.json()["customer_id"]), (200, &Value::Null));
    let made = server.post(&format!("{path}/projects"), &owner, json!({"name": "A project"})).await;
    assert_eq!(made.status, 201, "{made:?}");

    // The control: in development the same calls are simulated, and what they made is not paid on in production.
    let opened = beside.post(&format!("{path}/billing/checkout"), &owner, json!(null)).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let page = format!("/dev/checkout/{}", opened.json()["session_id"].as_str().unwrap());
    let paid = server.send(Method::POST, &page, None, None).await;
    assert_eq!(paid.outcome(), problem(404, "not-found"));
    assert_eq!(beside.send(Method::POST, &page, None, None).await.status, 200);
    server.stop().await;
    beside.stop().await;
}
