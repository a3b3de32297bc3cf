//! The id of a request, in headers, problems and audit entries.

use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::notebook::{app, routes};

/// Sends a request and returns the status, the header `x-request-id` and the body.
async fn send(app: &axum::Router, path: &str, token: &str) -> (u16, String, Value) {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("x-request-id", "of-the-client")
        .body(Body::from(json!("a note").to_string()));
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let id = parts.headers["x-request-id"].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), id, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn answers_problems_and_audit_entries_have_the_id() {
    let world = app(routes()).await;
    let (ours, owner) = world.tenant_and_owner().await;
    let (theirs, _) = world.tenant_and_owner().await;
    let (router, owner) = (world.router(), owner.to_string());
    let of = |tenant| format!("/notebooks/{tenant}/notes");
    let id = "of-the-client".to_owned();

    // A guard refuses, and then a handler.
    let (status, header, problem) = send(&router, &of(ours), "none").await;
    assert_eq!((status, header, &problem["request_id"]), (401, id.clone(), &json!(id)));
    let (status, header, problem) = send(&router, &of(theirs), &owner).await;
    assert_eq!((status, header, &problem["request_id"]), (404, id.clone(), &json!(id)));
    assert_eq!(problem["code"], "not-found");

    let (status, header, note) = send(&router, &of(ours), &owner).await;
    assert_eq!((status, header, note.is_string()), (201, id.clone(), true));
    let told: Option<String> = sqlx::query_scalar("select request_id from mt.audit_log")
        .fetch_one(world.database().admin())
        .await
        .unwrap();
    assert_eq!(told, Some(id));
}
