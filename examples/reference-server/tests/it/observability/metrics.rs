//! The metrics page: counters, labels, addresses, and the dashboards and alerts in `ops/`.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::ServerProcess;
use crate::support::webhooks::{deliver, subscription};
use crate::support::{Person, Server};

async fn page(server: &Server) -> String {
    let page = server.send(Method::GET, "/metrics", None, None).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    page.text
}

/// The value of a series, which is named as the page does; 0 where there is none.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// A bit of everything: requests, refusals, a webhook.
async fn traffic(server: &Server) -> (Person, String) {
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    for name in ["one", "two", "three", "four"] {
        server.post(&format!("{org}/projects"), &owner, json!({"name": name})).await;
    }
    server.send(Method::GET, &org, None, None).await;
    server.send(Method::GET, "/no/such/path", None, None).await;
    let made = server.post(&format!("{org}/billing/customer"), &owner, json!(null)).await;
    let customer = made.json()["customer_id"].as_str().unwrap().to_owned();
    let event = subscription("evt_1", &customer, "past_due");
    deliver(server, &event).await;
    deliver(server, &event).await;
    let refused = server.patch(&org, &owner, json!({"name": "Another"})).await;
    assert_eq!(refused.outcome().1, "billing-required");
    (owner, org)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_counted_once_in_metrics() {
    let server = Server::start_with(&[("RATE_LIMIT_API_PER_MIN", "1000")]).await;
    traffic(&server).await;
    let page = page(&server).await;
    let projects = |class| {
        let route = "/orgs/{org_id}/projects";
        format!(r#"mt_http_requests_total{{method="POST",route="{route}",status="{class}"}}"#)
    };
    for (series, count) in [
        (projects("2xx").as_str(), 3.0),
        (&projects("4xx"), 1.0),
        (r#"mt_http_requests_total{method="GET",route="none",status="4xx"}"#, 1.0),
        (
            r#"mt_http_request_duration_seconds_count{method="POST",route="/orgs/{org_id}/projects"}"#,
            4.0,
        ),
        (r#"mt_http_problems_total{code="cap-reached"}"#, 1.0),
        (r#"mt_http_problems_total{code="unauthenticated"}"#, 1.0),
        // This very request.
        ("mt_http_requests_in_flight", 1.0),
        (r#"mt_billing_refusals_total{org="other",code="cap-reached"}"#, 1.0),
        (r#"mt_billing_refusals_total{org="other",code="billing-required"}"#, 1.0),
        (r#"mt_guard_decisions_total{guard="authenticate",outcome="unauthenticated"}"#, 1.0),
        (r#"mt_limiter_decisions_total{limit="api",outcome="allowed"}"#, 6.0),
        // Asking who one is, and making the org.
        (r#"mt_limiter_decisions_total{limit="outside_orgs",outcome="allowed"}"#, 2.0),
        (r#"mt_limiter_decisions_total{limit="webhooks",outcome="allowed"}"#, 2.0),
        // Switched off for the tests, so it has said nothing.
        (r#"mt_limiter_decisions_total{limit="auth",outcome="allowed"}"#, 0.0),
        (r#"mt_webhook_deliveries_total{kind="new"}"#, 1.0),
        (r#"mt_webhook_deliveries_total{kind="duplicate"}"#, 1.0),
        (r#"mt_webhook_attempts_total{outcome="processed"}"#, 1.0),
        ("mt_webhook_backlog_known", 1.0),
        ("mt_webhook_due", 0.0),
        ("mt_db_pool_max_connections", 16.0),
        ("mt_db_pool_failed_total", 0.0),
    ] {
        assert!((value(&page, series) - count).abs() < 0.1, "{series} is not {count}:\n{page}");
    }
    assert!(value(&page, "mt_db_pool_acquired_total") > 20.0, "{page}");
    assert!(value(&page, r#"mt_db_pool_connections{state="idle"}"#) >= 1.0, "{page}");
    server.stop().await;
}

/// Unknown paths and methods create no series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_ids_create_no_metric_series() {
    let server = Server::start().await;
    let (owner, org) = traffic(&server).await;
    let ask = async |number: usize| {
        let uuid = uuid::Uuid::now_v7();
        server.send(Method::GET, &format!("/paths/{number}"), None, None).await;
        server.get(&format!("/orgs/{uuid}"), &owner).await;
        server.get(&format!("{org}/tasks/{uuid}"), &owner).await;
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        server.send(method, "/me", None, None).await;
    };
    ask(0).await;
    page(&server).await;
    let series = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&page(&server).await);
    for number in 1..=20 {
        ask(number).await;
    }
    let after = page(&server).await;
    assert_eq!(series(&after), before, "{after}");
    let id = org.rsplit('/').next().unwrap();
    assert!(!after.contains(id), "no org is named where everybody can read: {after}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnected_client_is_not_counted_in_flight() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    // The tenant's row is locked: creating a project waits for it.
    let mut held = server.db.admin().acquire().await.unwrap();
    sqlx::raw_sql("begin; select 1 from mt.tenants for update").execute(&mut *held).await.unwrap();
    let url = format!("{}{org}/projects", server.base_url());
    let request = reqwest::Client::new()
        .post(url)
        .bearer_auth(&owner.token)
        .json(&json!({"name": "never"}))
        .send();
    let asking = tokio::spawn(request);
    let in_flight = async || value(&page(&server).await, "mt_http_requests_in_flight");
    eventually(async || in_flight().await >= 2.0).await;
    asking.abort();
    eventually(async || in_flight().await < 2.0).await;
    assert!(value(&page(&server).await, "mt_http_requests_abandoned_total") > 0.0);
    sqlx::raw_sql("rollback").execute(&mut *held).await.unwrap();
    drop(held);
    server.stop().await;
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.expect("in ten seconds");
}

/// An address of its own: there alone, and orgs are told apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_on_their_own_address_are_not_on_the_main_one() {
    let shared = Server::start().await;
    let owner = shared.sign_in("owner").await;
    let org = shared.org(&owner).await;
    let settings = [("METRICS_ADDR", "127.0.0.1:0")];
    let server = ServerProcess::start(&shared.db.login_url(), &settings).await;
    let metrics = server.said("metrics at http://").await;
    let bearer = format!("Bearer {}", owner.token);
    let seen = server.send(Method::GET, &org, &[("authorization", &bearer)], None).await;
    assert_eq!(seen.status, 200);
    assert_eq!(server.send(Method::GET, "/metrics", &[], None).await.status, 404);
    let page = server.http.get(&metrics).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let id = org.rsplit('/').next().unwrap();
    let series = format!(r#"mt_org_requests_total{{org="{id}",status="2xx"}}"#);
    assert!((value(&page, &series) - 1.0).abs() < 0.1, "{page}");
    // And nothing of the API is there.
    let other = metrics.replace("/metrics", "/health");
    assert_eq!(server.http.get(other).send().await.unwrap().status(), 404);
    assert!(server.stop().0.success());
    shared.stop().await;
}

/// The database is asked every few seconds at most, however often the page is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_metrics_runs_no_query() {
    let server = Server::start().await;
    page(&server).await;
    let acquired = |page: &str| value(page, "mt_db_pool_acquired_total");
    let (mut before, mut quiet) = (acquired(&page(&server).await), 0);
    for _ in 0..20 {
        let after = acquired(&page(&server).await);
        // Workers look for work by themselves, once a second.
        quiet += u32::from((after - before).abs() < 0.1);
        before = after;
    }
    assert!(quiet >= 15, "{quiet} of 20 asked nothing");
    server.stop().await;
}

/// Names on the page: what is scraped, without the endings of histograms.
fn exported(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Names in an expression or a file.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let names = text.split(word).filter(|name| name.starts_with("mt_"));
    names
        .map(|name| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            base.unwrap_or(name).to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_use_exported_metrics_only() {
    let server = Server::start_with(&[("RATE_LIMIT_API_PER_MIN", "1000")]).await;
    traffic(&server).await;
    let exported = exported(&page(&server).await);
    let ops = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops");
    let mut read = BTreeSet::new();
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/mt.json"] {
        let text = std::fs::read_to_string(format!("{ops}/{file}")).unwrap();
        let names = named(&text);
        assert!(!names.is_empty());
        let unknown: Vec<_> = names.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file}: nothing exports {unknown:?}");
        read.extend(names);
    }
    let unread: Vec<_> = exported.difference(&read).collect();
    assert!(unread.is_empty(), "no dashboard or alert reads {unread:?}");
    // The control: a name that is not exported would be found.
    assert!(!named("rate(mt_no_such_total[5m])").is_subset(&exported));
    let dashboard = std::fs::read_to_string(format!("{ops}/grafana/mt.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            assert!(!named(target["expr"].as_str().unwrap()).is_empty(), "{panel}");
        }
    }
    server.stop().await;
}
