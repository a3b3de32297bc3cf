//! A whole service: the application's routes beside the ready-made endpoints.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use http_body_util::BodyExt as _;
use mt_axum::Service;
use mt_core::pg::ProductSchema;
use mt_http::{SignIn, Tenants};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use tower::ServiceExt as _;

use crate::notebook::{Notebook, NotesAdd, NotesRead, app, routes};

static MIGRATIONS: Migrator = Migrator::DEFAULT;

async fn send(app: &Router, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1))));
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn users_sign_in_make_a_notebook_and_use_the_routes() {
    let world = app(routes()).await;
    let database = world.database().connect(4).await.unwrap();
    let schema = ProductSchema { name: "app", migrator: &MIGRATIONS };
    let secret = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let router = Service::new(schema, routes())
        .mount(SignIn)
        .mount(Tenants {
            read: NotesRead,
            update: NotesAdd,
            delete: NotesAdd,
            usage: Notebook::usage(),
        })
        .with_options(|options| options.insecure_reveal_tokens(true))
        .into_router(&database, &secret, "https://notes.example")
        .unwrap();
    let email = json!({"email": "ada@example.org"});
    let (status, link) = send(&router, "/auth/request-link", "", Some(email)).await;
    assert_eq!(status, 202, "{link}");
    let (_, signed_in) =
        send(&router, "/auth/redeem", "", Some(json!({"token": link["token"]}))).await;
    let ada = signed_in["access_token"].as_str().unwrap();
    let (status, notebook) = send(&router, "/notebooks", ada, Some(json!({"name": "Diary"}))).await;
    assert_eq!(status, 201, "{notebook}");
    let notes = format!("/notebooks/{}/notes", notebook["id"].as_str().unwrap());
    assert_eq!(send(&router, &notes, ada, Some(json!("a note"))).await.0, 201);
    assert_eq!(send(&router, &notes, ada, None).await, (200, json!(["a note"])));
    assert_eq!(send(&router, &notes, "none", None).await.0, 401);
    let (_, shown) = send(&router, "/notebooks", ada, None).await;
    let usage = json!({"notes": {"used": 1, "cap": 3}, "members": {"used": 1, "cap": 4}});
    assert_eq!(shown["items"][0]["usage"], usage);
}

#[tokio::test]
async fn a_short_secret_is_refused_with_its_reason() {
    let world = app(routes()).await;
    let database = world.database().connect(1).await.unwrap();
    let schema = ProductSchema { name: "app", migrator: &MIGRATIONS };
    let refused = Service::new(schema, routes()).into_router(&database, "short", "https://x");
    let text = format!("{:?}", refused.unwrap_err());
    assert!(text.starts_with("the secret of tokens: ") && text.contains("32"), "{text}");
}
