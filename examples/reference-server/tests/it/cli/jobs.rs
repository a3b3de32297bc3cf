//! `mt-server jobs`: tables, JSON and exit codes.

use std::process::Output;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Server;
use crate::support::cli::run;
use crate::support::jobs::{Planted, plant};

/// Runs the command beside a running server, on its database.
async fn jobs(server: &Server, arguments: &[&str]) -> Output {
    let url = server.db.login_url();
    let settings = [("APP_ENV", "test"), ("DATABASE_URL", url.as_str())];
    run(&[&["jobs"], arguments].concat(), &settings).await
}

async fn says(server: &Server, arguments: &[&str], code: i32) -> String {
    let output = jobs(server, arguments).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(server: &Server, arguments: &[&str], code: i32) -> Value {
    let out = says(server, &[arguments, &["--json"]].concat(), code).await;
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"))
}

fn ids(listing: &Value) -> Vec<Uuid> {
    let items = listing["items"].as_array().unwrap();
    items.iter().map(|job| job["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_list_and_show_jobs() {
    let server = Server::start().await;
    let Planted { org, ready, dead, running, .. } = plant(&server).await;
    let org = org.to_string();

    let table = says(&server, &["list"], 0).await;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("JOB") && lines[0].contains("ORG"), "{table}");
    assert_eq!(lines.len(), 6, "{table}");
    assert!(table.contains("broken: it is") && table.contains("3/7"), "{table}");
    let all = json_of(&server, &["list"], 0).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 5);
    for listed in [&table, &all.to_string()] {
        assert!(!listed.contains("the payload"), "a list shows no payload: {listed}");
    }
    let of = async |arguments: &[&str]| {
        ids(&json_of(&server, &[&["list"], arguments].concat(), 0).await)
    };
    assert_eq!(of(&["--status", "dead"]).await, [dead]);
    assert_eq!(of(&["--status", "running", "--kind", "report"]).await, [running]);
    assert!(of(&["--kind", "other"]).await.is_empty());
    assert_eq!(of(&["--org", &org]).await.len(), 4);
    let page = json_of(&server, &["list", "--limit", "2"], 0).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = json_of(&server, &["list", "--cursor", cursor], 0).await;
    assert_eq!([ids(&page), ids(&rest)].concat(), ids(&all));
    assert_eq!(rest["next_cursor"], Value::Null);
    assert!(says(&server, &["list", "--limit", "2"], 0).await.contains("\nmore: --cursor "));

    let shown = json_of(&server, &["show", &ready.to_string()], 0).await;
    assert_eq!(shown["payload"], json!({"secret": "the payload"}));
    assert_eq!((&shown["runs_as"], &shown["service"]), (&json!("service"), &json!("planter")));
    assert_eq!(shown["org_id"], json!(org));
    let shown = says(&server, &["show", &running.to_string()], 0).await;
    for line in ["status        running", "progress      3/7", "runs as       service"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(shown.ends_with("\n{\"secret\":\"the payload\"}\n"), "{shown}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_retry_and_cancel_jobs() {
    let server = Server::start().await;
    let Planted { ready, dead, running, done, .. } = plant(&server).await;
    let status = async |job: Uuid| {
        let text = json_of(&server, &["show", &job.to_string()], 0).await["status"].take();
        text.as_str().unwrap().to_owned()
    };
    let unknown = Uuid::now_v7();
    // A running server makes it ready soon.
    let waits = async |job: Uuid| matches!(&*status(job).await, "ready" | "scheduled");
    let asked = [dead, done, unknown].map(|id| id.to_string());
    let retried = json_of(&server, &["retry", &asked[0], &asked[1], &asked[2]], 1).await;
    let expected = json!([
        {"id": dead, "done": true},
        {"id": done, "done": false, "error": "the job is done"},
        {"id": unknown, "done": false, "error": "no such job"},
    ]);
    assert_eq!(retried, expected);
    assert!(waits(dead).await);

    let asked = [running, ready, done].map(|id| id.to_string());
    let cancelled = says(&server, &["cancel", &asked[0], &asked[1], &asked[2]], 1).await;
    assert!(cancelled.starts_with("JOB"), "{cancelled}");
    assert!(cancelled.contains("-     the job is done"), "{cancelled}");
    assert_eq!(
        (status(running).await, status(ready).await),
        ("cancelled".into(), "cancelled".into())
    );

    // All of a status, or those of a kind.
    let none = ["retry", "--status", "cancelled", "--kind", "other"];
    assert_eq!(json_of(&server, &none, 0).await, json!([]));
    let all = json_of(&server, &["retry", "--status", "cancelled"], 0).await;
    let mut retried: Vec<_> = all.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    retried.sort_by_key(Value::to_string);
    let mut expected = vec![json!(running), json!(ready)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(retried, expected);
    assert!(waits(ready).await && waits(running).await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_exits_2_and_missing_job_exits_1() {
    let server = Server::start().await;
    let id = Uuid::now_v7().to_string();
    for (arguments, code) in [
        (&["show", &*id][..], 1),
        (&["retry", &id], 1),
        (&["cancel", &id], 1),
        (&["retry", "--status", "dead"], 0),
        (&["list"], 0),
        (&["--help"], 0),
        (&[], 2),
        (&["show"], 2),
        (&["show", "x"], 2),
        (&["retry"], 2),
        (&["retry", "--kind", "report"], 2),
        (&["retry", &id, "--status", "dead"], 2),
        (&["retry", &id, "--kind", "report"], 2),
        (&["retry", "--status", "running"], 2),
        (&["cancel"], 2),
        (&["list", "--status", "odd"], 2),
        (&["list", "--org", "x"], 2),
        (&["list", "--tenant", &id], 2),
        (&["list", "--cursor", "x"], 2),
        (&["list", "--limit", "101"], 2),
    ] {
        let output = jobs(&server, arguments).await;
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    }
    server.stop().await;
}
