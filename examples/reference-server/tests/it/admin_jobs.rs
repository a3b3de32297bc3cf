//! The routes of operators for jobs: authentication, the list, one job, retry and cancellation.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::jobs::{Planted, plant};
use crate::support::{Answer, Server, problem};

const JOBS: &str = "/admin/jobs";
/// The token of development and tests.
const TOKEN: &str = "dev-admin";

async fn get(server: &Server, path: &str) -> Answer {
    server.send(Method::GET, path, Some(TOKEN), None).await
}

async fn post(server: &Server, job: Uuid, change: &str) -> Answer {
    let path = format!("{JOBS}/{job}/{change}");
    server.send(Method::POST, &path, Some(TOKEN), None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_admin_token_opens_the_routes_of_jobs() {
    let server = Server::start().await;
    let Planted { ready, .. } = plant(&server).await;
    let owner = server.sign_in("another").await;
    let one = format!("{JOBS}/{ready}");
    let (retry, cancel) = (format!("{one}/retry"), format!("{one}/cancel"));
    let get = |path: &'static str| (Method::GET, path.to_owned());
    for (method, path) in
        [get(JOBS), (Method::GET, one), (Method::POST, retry), (Method::POST, cancel)]
    {
        for token in [None, Some(""), Some("dev-admi"), Some(owner.token.as_str())] {
            let refused = server.send(method.clone(), &path, token, None).await;
            assert_eq!(refused.outcome(), problem(401, "unauthenticated"), "{path} {token:?}");
        }
        // The control, which cancels the job last.
        let answer = server.send(method.clone(), &path, Some(TOKEN), None).await;
        assert!(matches!(answer.status, 200 | 409), "{path} {answer:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_list_jobs_without_payloads() {
    let server = Server::start().await;
    let Planted { org, scheduled, ready, dead, running, done } = plant(&server).await;
    let ids = async |query: &str| {
        let listing = get(&server, &format!("{JOBS}?{query}")).await;
        assert_eq!(listing.status, 200, "{query}");
        let items = listing.json()["items"].take();
        let ids = items.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().parse());
        ids.collect::<Result<Vec<Uuid>, _>>().unwrap()
    };
    assert_eq!(ids("").await, [done, running, dead, ready, scheduled]);
    assert_eq!(ids("status=dead").await, [dead]);
    assert_eq!(ids(&format!("org_id={org}")).await, [running, dead, ready, scheduled]);
    assert!(ids(&format!("org_id={org}&status=done")).await.is_empty());
    assert_eq!(ids("kind=report&status=running").await, [running]);
    assert!(ids("kind=other").await.is_empty());

    let listing = get(&server, &format!("{JOBS}?limit=3")).await;
    assert!(!listing.text.contains("the payload"), "{}", listing.text);
    let one = listing.json()["items"][1].clone();
    assert_eq!((&one["org_id"], &one["kind"]), (&json!(org), &json!("report")));
    assert_eq!((&one["progress_done"], &one["progress_total"]), (&json!(3), &json!(7)));
    assert_eq!((&one["runs_as"], &one["service"]), (&json!("service"), &json!("planter")));
    assert_eq!((&one["principal_id"], &one["next_attempt_at"]), (&Value::Null, &Value::Null));
    let cursor = listing.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(ids(&format!("limit=3&cursor={cursor}")).await, [ready, scheduled]);
    // A cursor belongs to its list.
    for bad in [
        format!("status=dead&cursor={cursor}"),
        format!("kind=report&cursor={cursor}"),
        "status=none".to_owned(),
        "org_id=x".to_owned(),
        "limit=0".to_owned(),
        "cursor=x".to_owned(),
    ] {
        let refused = get(&server, &format!("{JOBS}?{bad}")).await;
        assert_eq!(refused.outcome(), problem(400, "invalid-request"), "{bad}");
    }

    // One job has its payload.
    let shown = get(&server, &format!("{JOBS}/{dead}")).await.json();
    assert_eq!(shown["payload"], json!({"secret": "the payload"}));
    assert_eq!(shown["last_error"], "broken: it is");
    for unknown in [Uuid::now_v7().to_string(), "x".to_owned()] {
        let answer = get(&server, &format!("{JOBS}/{unknown}")).await;
        assert_eq!(answer.outcome(), problem(404, "not-found"), "{unknown}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_retry_and_cancel_jobs_over_http() {
    let server = Server::start().await;
    let Planted { ready, dead, running, done, .. } = plant(&server).await;
    let changed = async |job: Uuid, change: &str| {
        let answer = post(&server, job, change).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = answer.json();
        assert!(shown.get("payload").is_none(), "{shown}");
        shown["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(changed(dead, "retry").await, "scheduled");
    assert_eq!(changed(running, "cancel").await, "cancelled");
    assert_eq!(changed(ready, "cancel").await, "cancelled");
    assert_eq!(changed(ready, "retry").await, "scheduled");
    for (job, change, says) in [
        (done, "retry", "the job is done"),
        (done, "cancel", "the job is done"),
        (running, "cancel", "the job is cancelled"),
    ] {
        let refused = post(&server, job, change).await;
        assert_eq!(refused.outcome(), problem(409, "conflict"), "{job} {change}");
        assert_eq!(refused.json()["detail"], says);
    }
    let unknown = Uuid::now_v7();
    assert_eq!(post(&server, unknown, "retry").await.outcome(), problem(404, "not-found"));
    assert_eq!(post(&server, unknown, "cancel").await.outcome(), problem(404, "not-found"));

    // A cancelled job whose key another one has by now.
    let keyed =
        format!("update mt.jobs set unique_key = 'one' where id in ('{running}', '{ready}')");
    server.sql(&keyed).await;
    let refused = post(&server, running, "retry").await;
    assert_eq!(refused.outcome(), problem(409, "conflict"));
    assert_eq!(refused.json()["detail"], "another unfinished job has its unique key");
    server.stop().await;
}
