//! The routes of operators: authentication, the list of webhook events, and replay.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::webhooks::{deliver, subscription};
use crate::support::{Answer, Server, answer, problem};

const EVENTS: &str = "/admin/webhook-events";
/// The token of development and tests.
const TOKEN: &str = "dev-admin";

async fn ask(server: &Server, method: Method, path: &str) -> Answer {
    server.send(method, path, Some(TOKEN), None).await
}

async fn get(server: &Server, path: &str) -> Answer {
    ask(server, Method::GET, path).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_admin_token_opens_these_routes() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let event = format!("{EVENTS}/evt_1");
    let replay = format!("{event}/replay");
    for (method, path) in [(Method::GET, EVENTS), (Method::GET, &event), (Method::POST, &replay)] {
        for (token, says) in [
            (None, "Bearer"),
            (Some(""), "Bearer error=\"invalid_token\""),
            (Some("dev-admi"), "Bearer error=\"invalid_token\""),
            (Some("dev-admin2"), "Bearer error=\"invalid_token\""),
            (Some(owner.token.as_str()), "Bearer error=\"invalid_token\""),
        ] {
            let refused = server.send(method.clone(), path, token, None).await;
            assert_eq!(refused.outcome(), problem(401, "unauthenticated"), "{path} {token:?}");
            assert_eq!(refused.headers["www-authenticate"], says, "{path} {token:?}");
        }
        // Neither in the query, nor twice, nor by another scheme.
        let client = reqwest::Client::new();
        let url = format!("{}{path}", server.base_url());
        for request in [
            client.request(method.clone(), format!("{url}?access_token={TOKEN}")),
            client.request(method.clone(), &url).bearer_auth(TOKEN).bearer_auth(TOKEN),
            client.request(method.clone(), &url).basic_auth("admin", Some(TOKEN)),
        ] {
            assert_eq!(answer(request.send().await.unwrap()).await.status, 401, "{path}");
        }
    }
    // And it opens nothing else.
    assert_eq!(server.send(Method::GET, "/me", Some(TOKEN), None).await.status, 401);
    assert_eq!(get(&server, EVENTS).await.status, 200);
    assert_eq!(ask(&server, Method::DELETE, EVENTS).await.status, 405);
    assert_eq!(get(&server, "/admin").await.outcome(), problem(404, "not-found"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_list_events_and_their_outcomes() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let made = server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    let customer = made.json()["customer_id"].as_str().unwrap().to_owned();
    for number in 0..3 {
        let event = subscription(&format!("evt_{number}"), &customer, "active");
        assert_eq!(deliver(&server, &event).await.json()["status"], "processed");
    }
    assert_eq!(deliver(&server, &subscription("evt_0", &customer, "active")).await.status, 200);
    let other = json!({"id": "evt_other", "type": "customer.created", "data": {"object": {}}});
    assert_eq!(deliver(&server, &other).await.json()["status"], "ignored");

    let all = get(&server, EVENTS).await.json();
    let ids: Vec<_> = all["items"].as_array().unwrap().iter().map(|e| &e["event_id"]).collect();
    assert_eq!(ids, ["evt_other", "evt_2", "evt_1", "evt_0"]);
    assert_eq!(all["next_cursor"], Value::Null);
    let first = all["items"][3].as_object().unwrap();
    let mut fields: Vec<_> = first.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let promised = [
        "attempts",
        "deliveries",
        "event_id",
        "last_error",
        "next_attempt_at",
        "processed_at",
        "received_at",
        "status",
        "type",
    ];
    assert_eq!(fields, promised);
    assert_eq!((&first["deliveries"], &first["attempts"]), (&json!(2), &json!(1)));
    assert_eq!(first["type"], "customer.subscription.updated");
    assert!(first["processed_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&first["last_error"], &first["next_attempt_at"]), (&Value::Null, &Value::Null));
    assert_eq!(all["items"][0]["last_error"], "unhandled_type");

    let ignored = get(&server, &format!("{EVENTS}?status=ignored")).await.json();
    assert_eq!(ignored["items"].as_array().unwrap().len(), 1);
    let page = get(&server, &format!("{EVENTS}?limit=3")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = get(&server, &format!("{EVENTS}?limit=3&cursor={cursor}")).await.json();
    assert_eq!(rest["items"], json!([first]));
    for bad in ["status=none", "limit=0", "limit=101", "cursor=x"] {
        let refused = get(&server, &format!("{EVENTS}?{bad}")).await;
        assert_eq!(refused.outcome(), problem(400, "invalid-request"), "{bad}");
    }
    // A cursor belongs to its list.
    let foreign = get(&server, &format!("{EVENTS}?status=processed&cursor={cursor}")).await;
    assert_eq!(foreign.status, 400);

    let one = get(&server, &format!("{EVENTS}/evt_1")).await.json();
    assert_eq!(one["payload"], subscription("evt_1", &customer, "active"));
    assert_eq!(one["status"], "processed");
    for unknown in ["evt_none", "evt_1x", "%65vt_1"] {
        let answer = get(&server, &format!("{EVENTS}/{unknown}")).await;
        assert_eq!(answer.outcome(), problem(404, "not-found"), "{unknown}");
    }
    server.sql("update mt.webhook_events set body = null where event_id = 'evt_1'").await;
    assert_eq!(get(&server, &format!("{EVENTS}/evt_1")).await.json()["payload"], Value::Null);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_applies_once_and_is_recorded() {
    let settings = [("WEBHOOK_MAX_ATTEMPTS", "1"), ("WEBHOOK_BACKOFF_MS", "3600000")];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let org = path.rsplit('/').next().unwrap().replace('-', "");
    let customer = format!("cus_dev_{org}");
    let event = subscription("evt_1", &customer, "active");
    assert_eq!(deliver(&server, &event).await.json()["status"], "failed");
    let replay = format!("{EVENTS}/evt_1/replay");
    // Its customer is not linked yet, and asking does not change that.
    let again = ask(&server, Method::POST, &replay).await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("failed")));
    let error = again.json()["last_error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("unlinked_customer"), "{error}");

    // By SQL, so that no event is woken.
    let tenant = path.rsplit('/').next().unwrap();
    server
        .sql(&format!(
            "insert into mt.billing_customers (tenant_id, provider, customer_id) \
             values ('{tenant}', 'stripe', '{customer}')"
        ))
        .await;
    for round in 0..3 {
        let replayed = ask(&server, Method::POST, &replay).await;
        assert_eq!(replayed.status, 200, "{replayed:?}");
        assert_eq!(replayed.json()["status"], "processed", "round {round}");
        assert_eq!(replayed.json()["attempts"], 1);
    }
    let shown = server.get(&path, &owner).await.json();
    assert_eq!((&shown["plan"], &shown["subscription_status"]), (&json!("pro"), &json!("active")));
    let asked: Vec<(String, String)> = sqlx::query_as(
        "select actor, detail from mt.webhook_attempts where outcome = 'replay' order by seq",
    )
    .fetch_all(server.db.admin())
    .await
    .unwrap();
    assert!(asked.iter().all(|(who, _)| who.starts_with("admin token, request ")), "{asked:?}");
    let before: Vec<_> = asked.iter().map(|(_, before)| before.as_str()).collect();
    assert_eq!(before, ["failed", "failed", "processed", "processed"]);

    let unknown = ask(&server, Method::POST, &format!("{EVENTS}/evt_none/replay")).await;
    assert_eq!(unknown.outcome(), problem(404, "not-found"));
    server
        .sql(
            "update mt.webhook_events set status = 'processing', processed_at = null, \
                 lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour', \
                 next_attempt_at = now() + interval '1 hour'",
        )
        .await;
    let under_way = ask(&server, Method::POST, &replay).await;
    assert_eq!(under_way.outcome(), problem(409, "conflict"));
    server
        .sql(
            "update mt.webhook_events set status = 'dead', lease_token = null, lease_until = null, \
                 body = null",
        )
        .await;
    let purged = ask(&server, Method::POST, &replay).await;
    assert_eq!(purged.outcome(), problem(409, "conflict"));
    server.stop().await;
}
