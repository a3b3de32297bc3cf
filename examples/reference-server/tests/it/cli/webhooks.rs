//! `mt-server webhooks`: tables, JSON and exit codes.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::Server;
use crate::support::cli::run;
use crate::support::webhooks::{deliver, subscription};

/// Runs the command beside a running server, on its database.
async fn webhooks(server: &Server, arguments: &[&str]) -> Output {
    let url = server.db.login_url();
    let settings = [
        ("APP_ENV", "test"),
        ("USER", "ada"),
        // The server's workers must not apply what a replay leaves.
        ("WEBHOOK_BACKOFF_MS", "3600000"),
        ("DATABASE_URL", url.as_str()),
    ];
    run(&[&["webhooks"], arguments].concat(), &settings).await
}

async fn says(server: &Server, arguments: &[&str], code: i32) -> String {
    let output = webhooks(server, arguments).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(server: &Server, arguments: &[&str], code: i32) -> Value {
    let out = says(server, &[arguments, &["--json"]].concat(), code).await;
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_list_show_and_replay_events() {
    let server = Server::start_with(&[("WEBHOOK_BACKOFF_MS", "3600000")]).await;
    let owner = server.sign_in("owner").await;
    let path = server.org(&owner).await;
    let made = server.post(&format!("{path}/billing/customer"), &owner, json!(null)).await;
    let customer = made.json()["customer_id"].as_str().unwrap().to_owned();
    deliver(&server, &subscription("evt_good", &customer, "active")).await;
    for name in ["evt_a", "evt_b"] {
        deliver(&server, &subscription(name, "cus_later", "trialing")).await;
    }

    let table = says(&server, &["list"], 0).await;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("EVENT     TYPE"), "{table}");
    assert!(lines[1].contains("evt_b") && lines[1].contains("unlinked_customer: "), "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    let failed = json_of(&server, &["list", "--status", "failed"], 0).await;
    let ids: Vec<_> =
        failed["items"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert_eq!(ids, ["evt_b", "evt_a"]);
    let of = ["list", "--customer", "cus_later", "--type", "customer.subscription.updated"];
    assert_eq!(json_of(&server, &of, 0).await["items"].as_array().unwrap().len(), 2);
    let page = json_of(&server, &["list", "--limit", "1"], 0).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = json_of(&server, &["list", "--limit", "1", "--cursor", cursor], 0).await;
    assert_eq!(next["items"][0]["event_id"], "evt_a");

    let shown = json_of(&server, &["show", "evt_good"], 0).await;
    assert_eq!(shown["payload"]["data"]["object"]["status"], "active");
    assert_eq!(shown["history"][0]["outcome"], "processed");
    let shown = says(&server, &["show", "evt_good"], 0).await;
    assert!(shown.contains("status") && shown.contains("OUTCOME"), "{shown}");

    // What cannot be applied yet is left, and the exit code says so.
    let left = json_of(&server, &["replay", "evt_a", "evt_none"], 1).await;
    assert_eq!(left[0]["status"], "failed");
    assert_eq!(left[1], json!({"event_id": "evt_none", "error": "no such event"}));
    let tenant = path.rsplit('/').next().unwrap();
    server
        .sql(&format!(
            "update mt.billing_customers set customer_id = 'cus_later' where tenant_id = '{tenant}'"
        ))
        .await;
    let all = json_of(&server, &["replay", "--status", "failed"], 0).await;
    let done: Vec<_> =
        all.as_array().unwrap().iter().map(|one| (&one["event_id"], &one["status"])).collect();
    // In the order in which they came.
    assert_eq!(
        done,
        [(&json!("evt_a"), &json!("processed")), (&json!("evt_b"), &json!("processed"))]
    );
    says(&server, &["replay", "evt_b", "--force", "--actor", "grace"], 0).await;
    let history = json_of(&server, &["show", "evt_b"], 0).await["history"].take();
    let asked: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["outcome"], &entry["actor"]))
        .collect();
    let replay = (&json!("replay"), &json!("mt-server, grace"));
    assert!(asked.contains(&replay), "{history}");
    let by_ada = json_of(&server, &["show", "evt_a"], 0).await["history"].take();
    assert!(by_ada.to_string().contains("mt-server, ada"), "{by_ada}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_exits_2_and_missing_event_exits_1() {
    let server = Server::start().await;
    for (arguments, code) in [
        (&["show", "evt_none"][..], 1),
        (&["replay", "evt_none"], 1),
        (&["list", "--cursor", "nonsense"], 1),
        (&["list"], 0),
        (&["--help"], 0),
        (&["replay", "--help"], 0),
        (&[], 2),
        (&["show"], 2),
        (&["replay"], 2),
        (&["replay", "evt_1", "--status", "dead"], 2),
        (&["list", "--status", "odd"], 2),
        (&["list", "--limit", "0"], 2),
        (&["list", "--limit", "101"], 2),
        (&["forget"], 2),
    ] {
        says(&server, arguments, code).await;
    }
    server.stop().await;
}
