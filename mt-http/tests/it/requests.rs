//! Paths, methods, bodies and repeated requests.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::shop::World;

#[tokio::test]
async fn paths_have_one_spelling_and_their_methods() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    for path in ["/", "/me/", "//me", "/%6de", "/./me", "/shops/x/y", "/nothing"] {
        assert_eq!(world.get(path, &ada).await.status, 404, "{path}");
    }
    let refused = world.send(Method::PUT, "/shops", Some(&ada), None).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["allow"]),
        (405, &"GET, POST".parse::<http::HeaderValue>().unwrap())
    );
    assert_eq!(world.send(Method::HEAD, "/me", Some(&ada), None).await.status, 200);
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let send = async |kind: &str, body: String| {
        let request = Request::post("/shops").header("authorization", format!("Bearer {ada}"));
        let request = request.header("content-type", kind).body(Full::new(body.into())).unwrap();
        let reply = world.send_raw(request).await;
        (reply.status.as_u16(), reply.json()["errors"].clone())
    };
    let json = "application/json";
    assert_eq!(send("text/plain", r#"{"name":"A"}"#.to_owned()).await.0, 415);
    assert_eq!(send(json, "{".to_owned()).await.0, 400);
    assert_eq!(send(json, format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000))).await.0, 413);
    let unknown = send(json, r#"{"nmae":"A"}"#.to_owned()).await;
    let errors = json!([
        {"pointer": "/nmae", "detail": "is not a known field"},
        {"pointer": "/name", "detail": "is required"},
    ]);
    assert_eq!(unknown, (422, errors));
    assert_eq!(send(json, r#"{"name":"A"}"#.to_owned()).await, (201, Value::Null));
}

#[tokio::test]
async fn a_repeated_create_is_carried_out_once() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let create = async |name: &str, key: Option<&str>| {
        let body = json!({"name": name}).to_string();
        let mut request = Request::post("/shops")
            .header("authorization", format!("Bearer {ada}"))
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        world.send_raw(request.body(Full::new(body.into())).unwrap()).await
    };
    let (first, again) = (create("A", Some("1")).await, create("A", Some("1")).await);
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(create("B", Some("1")).await.text("code"), "idempotency-mismatch");
    assert_eq!(create("A", Some("with space")).await.text("code"), "invalid-request");
    // The control: without a key, a second request makes a second shop.
    assert_ne!(create("A", None).await.text("id"), create("A", None).await.text("id"));
    let shops = world.get("/shops", &ada).await.json();
    assert_eq!(shops["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn pages_chain_and_a_foreign_cursor_is_refused() {
    let world = World::new().await;
    let (ada, bob) =
        (world.sign_in("ada@example.org").await, world.sign_in("bob@example.org").await);
    for _ in 0..3 {
        world.shop(&ada).await;
        world.shop(&bob).await;
    }
    let first = world.get("/shops?limit=2", &ada).await.json();
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    let second = world.get(&format!("/shops?limit=2&cursor={cursor}"), &ada).await.json();
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], Value::Null);
    let foreign = world.get(&format!("/shops?limit=2&cursor={cursor}"), &bob).await;
    assert_eq!(foreign.text("code"), "invalid-request");
}
