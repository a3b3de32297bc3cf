//! The OpenAPI document lists the operations of the router, and describes each in full.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::openapi::conformance::document;
use crate::support::Server;
use crate::support::cli::run;

#[tokio::test]
async fn the_document_and_the_router_have_the_same_operations() {
    let server = Server::start().await;
    let served: BTreeSet<String> =
        server.operations.iter().map(|(method, path)| format!("{method} {path}")).collect();
    let described: BTreeSet<String> = document()
        .operations()
        .map(|(path, method, _)| format!("{} {path}", method.to_uppercase()))
        .collect();
    assert_eq!(served, described);

    let sent = server.send(Method::GET, "/openapi.json", None, None).await;
    assert_eq!(sent.status, 200);
    assert_eq!(sent.json(), document().0, "what is served is what is printed");
    assert_eq!(
        sent.json()["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(),
        ["3", "1"]
    );
    server.stop().await;
}

/// Without an operators' token there are no routes for operators, and in production none of `/dev`.
#[tokio::test]
async fn document_omits_routes_that_the_server_does_not_have() {
    let server = Server::start_with(&[("METRICS_ADDR", "127.0.0.1:0")]).await;
    let sent = server.send(Method::GET, "/openapi.json", None, None).await.json();
    assert!(sent["paths"].get("/metrics").is_none() && sent["paths"].get("/health").is_some());
    server.stop().await;
}

/// Generating a client from the document needs no running server.
#[tokio::test]
async fn the_document_is_printed_without_settings() {
    let output = run(&["openapi"], &[("APP_PORT", "no port")]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, document().0);
}

#[test]
fn every_operation_is_described_in_full() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in document().operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} twice");
        for text in ["summary", "operationId"] {
            assert!(operation[text].as_str().is_some_and(|said| !said.is_empty()), "{id}: {text}");
        }
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{id}");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(in_path, named, "{id}");
        let responses = operation["responses"].as_object().unwrap();
        let asks = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        assert_eq!(asks, responses.contains_key("401"), "{id}");
        assert_eq!(
            operation.get("requestBody").is_some(),
            responses.contains_key("400") && method != "get",
            "{id}"
        );
        for (status, response) in responses {
            let response = document().resolve(response);
            assert!(response["headers"].get("x-request-id").is_some(), "{id} {status}");
            let contents = response["content"].as_object();
            assert_eq!(
                contents.is_none(),
                ["204", "304"].contains(&status.as_str()),
                "{id} {status}"
            );
            if status.parse::<u16>().unwrap() >= 400 && id != "health.ready" {
                assert!(
                    contents.unwrap().contains_key("application/problem+json"),
                    "{id} {status}"
                );
            }
        }
    }
}

/// Bodies that are JSON have an example each, and it is one.
#[test]
fn examples_match_their_schemas() {
    let mut checked = 0;
    for (_, _, operation) in document().operations() {
        let id = &operation["operationId"];
        let responses = operation["responses"].as_object().unwrap().values();
        let bodies = responses.chain(operation.get("requestBody"));
        for body in bodies.map(|body| document().resolve(body)) {
            for (kind, content) in body["content"].as_object().into_iter().flatten() {
                if !kind.contains("json") || id == "docs.document" {
                    continue;
                }
                for example in examples(content, &id.to_string()) {
                    let wrong = document().complaint(&content["schema"], example);
                    assert_eq!(wrong, None, "{id}: {example}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 400, "{checked} examples");
}

fn examples<'c>(content: &'c Value, of: &str) -> Vec<&'c Value> {
    if let Some(one) = content.get("example") {
        return vec![one];
    }
    if let Some(one) = content["schema"].get("example") {
        return vec![one];
    }
    let several = content["examples"].as_object().unwrap_or_else(|| panic!("{of}: no example"));
    several.values().map(|example| &example["value"]).collect()
}

/// Offline, and inside its own content security policy: nothing on the page comes from elsewhere, and no
/// script stands in it.
#[tokio::test]
async fn viewer_loads_nothing_from_other_hosts() {
    let server = Server::start().await;
    let page = server.send(Method::GET, "/docs", None, None).await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains("//") && !page.text.contains("<script>"), "{}", page.text);
    let assets: Vec<_> = ["href=\"", "src=\""]
        .iter()
        .flat_map(|attribute| page.text.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(assets.len(), 3);
    for asset in assets {
        let sent = server.send(Method::GET, asset, None, None).await;
        assert_eq!(sent.status, 200, "{asset}");
        assert!(sent.text.len() > 100, "{asset}");
        assert!(sent.headers["cache-control"].to_str().unwrap().contains("max-age"), "{asset}");
    }
    let unknown = server.send(Method::GET, "/docs/nothing.js", None, None).await;
    assert_eq!(unknown.status, 404);
    server.stop().await;
}
