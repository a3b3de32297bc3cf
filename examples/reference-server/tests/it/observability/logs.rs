//! The log line of a request, and secrets that must not be logged.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::{ServerProcess, database, parsed};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PARENT: &str = "00f067aa0ba902b7";

/// The lines about requests that were answered, by the id of the request.
pub(crate) fn answered<'l>(lines: &'l [Value], request_id: &str) -> &'l Value {
    lines
        .iter()
        .find(|line| line["message"] == "answered" && line["span"]["request_id"] == request_id)
        .unwrap_or_else(|| panic!("no answer to `{request_id}`: {lines:#?}"))
}

/// Signs in, and returns link and access token.
async fn sign_in(server: &ServerProcess, email: &str) -> (String, String) {
    let body = Some(json!({"email": email}));
    let sent = server.send(Method::POST, "/auth/request-link", &[], body).await;
    let link = sent.json()["token"].as_str().unwrap().to_owned();
    let redeemed =
        server.send(Method::POST, "/auth/redeem", &[], Some(json!({"token": link}))).await;
    let token = redeemed.json()["access_token"].as_str().unwrap().to_owned();
    (link, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_line_names_principal_request_org_and_trace() {
    let db = database().await;
    let server = ServerProcess::start(&db.login_url(), &[]).await;
    let (_, token) = sign_in(&server, "ada@example.org").await;
    let bearer = format!("Bearer {token}");
    let authorization = ("authorization", bearer.as_str());
    let me = server.send(Method::GET, "/me", &[authorization], None).await;
    let made =
        server.send(Method::POST, "/orgs", &[authorization], Some(json!({"name": "An org"}))).await;
    let org = made.json()["id"].as_str().unwrap().to_owned();
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let ask = async |id: &str, path: &str, more: &[(&str, &str)]| {
        let headers = [&[authorization, ("x-request-id", id)], more].concat();
        server.send(Method::GET, path, &headers, None).await
    };
    ask("in-a-trace", &format!("/orgs/{org}?q=1"), &[("traceparent", &parent)]).await;
    ask("not-in-one", &format!("/orgs/{org}"), &[]).await;
    for (id, bad) in
        [("bad-1", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"), ("bad-2", "ff")]
    {
        ask(id, "/me", &[("traceparent", bad)]).await;
    }
    ask("twice", "/me", &[("traceparent", &parent), ("traceparent", &parent)]).await;
    let stranger = "/orgs/01900000-0000-7000-8000-000000000000";
    assert_eq!(ask("stranger", stranger, &[]).await.status, 404);
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let lines = parsed(&lines);

    let line = answered(&lines, "in-a-trace");
    let span = &line["span"];
    assert_eq!(span["trace_id"], TRACE);
    assert_ne!(span["span_id"], PARENT, "a span of its own");
    assert_eq!(span["span_id"].as_str().unwrap().len(), 16);
    assert_eq!((&span["method"], &span["status"]), (&json!("GET"), &json!(200)));
    assert_eq!(span["path"], format!("/orgs/{org}"), "without the query");
    assert!(span["route"].as_str().unwrap().ends_with("orgs/{org_id}"), "{span}");
    assert_eq!(span["tenant.id"], org);
    assert_eq!(span["principal.id"], me.json()["id"]);
    assert!(line["took_ms"].as_f64().unwrap() > 0.0);
    for id in ["not-in-one", "bad-1", "bad-2", "twice"] {
        let span = &answered(&lines, id)["span"];
        let trace = span["trace_id"].as_str().unwrap();
        assert!(trace.len() == 32 && trace != TRACE, "{id}: {span}");
    }
    let span = &answered(&lines, "stranger")["span"];
    assert_eq!(span["problem.code"], "not-found");
    assert!(span["tenant.id"].is_null(), "no tenant has this id: {span}");
}

/// Compose, load balancers and Kubernetes send health checks every few seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_are_logged_at_debug() {
    let db = database().await;
    for level in ["info", "debug"] {
        let server = ServerProcess::start(&db.login_url(), &[("RUST_LOG", level)]).await;
        for path in ["/health", "/ready", "/me"] {
            let id = ("x-request-id", &path[1..]);
            server.send(Method::GET, path, &[id], None).await;
            server.send(Method::POST, path, &[("x-request-id", "not-a-check")], None).await;
        }
        let (_, lines) = server.stop();
        let lines = parsed(&lines);
        let level_of = |id: &str| {
            let mut of = lines.iter().filter(|line| line["message"] == "answered");
            Some(of.find(|line| line["span"]["request_id"] == id)?["level"].as_str()?.to_owned())
        };
        let (health, ready) = (level_of("health"), level_of("ready"));
        if level == "debug" {
            assert_eq!((health.as_deref(), ready.as_deref()), (Some("DEBUG"), Some("DEBUG")));
        } else {
            assert_eq!((health, ready), (None, None));
        }
        for other in ["me", "not-a-check"] {
            assert_eq!(level_of(other).as_deref(), Some("INFO"), "{other} at {level}");
        }
    }
}

/// Everything that must not be said is said to the server once, in every place that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_not_logged_at_any_level() {
    let db = database().await;
    let secrets = [
        ("JWT_SECRET", "planted-jwt-secret-0123456789abcdef"),
        ("ADMIN_TOKEN", "planted-admin-token-0123456789abcdef"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_planted"),
    ];
    for level in ["info", "debug"] {
        let settings = [secrets.as_slice(), &[("RUST_LOG", level)]].concat();
        let server = ServerProcess::start(&db.login_url(), &settings).await;
        let (link, token) = sign_in(&server, "planted-mailbox@example.org").await;
        let bearer = format!("Bearer {token}");
        let authorization = ("authorization", bearer.as_str());
        let body = Some(json!({"name": "planted-name"}));
        let made = server.send(Method::POST, "/orgs", &[authorization], body).await;
        let org = made.json()["id"].as_str().unwrap().to_owned();
        let invite = Some(json!({"email": "planted-guest@example.org", "role": "member"}));
        let path = format!("/orgs/{org}/invites");
        let invited = server.send(Method::POST, &path, &[authorization], invite).await;
        let invite = invited.json()["token"].as_str().unwrap().to_owned();
        // In the query, twice in the header, used again, not JSON, too deep, not signed, not the token.
        let path = format!("/me?access_token={token}");
        server.send(Method::GET, &path, &[], None).await;
        server.send(Method::GET, "/me", &[authorization, authorization], None).await;
        server.send(Method::GET, "/me", &[("authorization", "Bearer planted-bearer")], None).await;
        server.send(Method::GET, "/me", &[("cookie", "planted-cookie")], None).await;
        let used = Some(json!({"token": link}));
        server.send(Method::POST, "/auth/redeem", &[], used).await;
        let odd = Some(json!({"name": ["planted-body"]}));
        server.send(Method::POST, "/orgs", &[authorization], odd).await;
        let event = Some(json!({"id": "evt_1", "type": "x", "planted": "planted-event"}));
        let signature = ("stripe-signature", "t=1,v1=planted-signature");
        server.send(Method::POST, "/webhooks/stripe", &[signature], event).await;
        let admin = ("authorization", "Bearer planted-admin-guess");
        server.send(Method::GET, "/admin/webhook-events", &[admin], None).await;
        let (status, lines) = server.stop();
        assert!(status.success(), "{status}");
        let log = lines.join("\n");
        assert!(log.contains(&org), "the log is of these requests");
        let url = reqwest::Url::parse(&db.login_url()).unwrap();
        let password = url.password().expect("the login has one");
        for secret in [&*link, &*token, &*invite, password, "planted", "whsec_"] {
            let found = lines.iter().find(|line| line.contains(secret));
            assert_eq!(found, None, "at {level}");
        }
    }
}
