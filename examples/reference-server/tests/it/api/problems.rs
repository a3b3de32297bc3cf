//! Errors are problem documents, and have the headers of every response.

use std::time::Duration;

use reference_server::http::problem::ApiError;
use reference_server::http::service::{ShellOptions, Timeouts, serve, service};
use salvo::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Server, answer, problem};

/// Sends bytes, reads until the server closes, and returns status, head and body.
async fn raw(server: &Server, request: &[u8]) -> (u16, String, String) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn request(line: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_a_problem_with_the_headers_of_every_answer() {
    let server = Server::start().await;
    let many: String = (0..80).fold(String::new(), |all, n| all + &format!("x-{n}: 1\r\n"));
    let wide = format!("x-wide: {}\r\n", "a".repeat(20 * 1024));
    for (line, headers, body, status, code) in [
        ("GET /nowhere", "", "", 404, "not-found"),
        ("GET /orgs/", "", "", 404, "not-found"),
        ("GET //orgs", "", "", 404, "not-found"),
        ("GET /./me", "", "", 404, "not-found"),
        ("GET /%6de", "", "", 404, "not-found"),
        ("GET /orgs%2fx", "", "", 404, "not-found"),
        ("GET /orgs/not-an-id", "", "", 401, "unauthenticated"),
        ("DELETE /me", "", "", 405, "method-not-allowed"),
        ("TRACE /me", "", "", 405, "method-not-allowed"),
        ("OPTIONS /me", "", "", 405, "method-not-allowed"),
        ("GET /me", &*many, "", 431, "headers-too-large"),
        ("GET /me", &*wide, "", 431, "headers-too-large"),
        ("POST /auth/redeem", "content-length: 2\r\n", "{}", 415, "unsupported-media-type"),
        (
            "POST /auth/redeem",
            "content-type: application/json\r\ncontent-length: 70000\r\n",
            "",
            413,
            "too-large",
        ),
        (
            "POST /auth/redeem",
            "content-type: application/json\r\ncontent-length: 1\r\n",
            "{",
            400,
            "invalid-request",
        ),
        (
            "POST /auth/redeem",
            "content-type: application/json\r\ncontent-length: 11\r\n",
            "{\"token\":1}",
            422,
            "invalid-fields",
        ),
        ("POST /webhooks/stripe", "content-length: 2\r\n", "{}", 400, "invalid-signature"),
        ("GET /problems/nonsense", "", "", 404, "not-found"),
    ] {
        let (got, head, body) = raw(&server, &request(line, headers, body)).await;
        assert_eq!(got, status, "{line}: {head}");
        assert!(head.contains("content-type: application/problem+json"), "{line}: {head}");
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "frame-ancestors 'none'",
            "x-request-id: ",
        ] {
            assert!(head.contains(header), "{line} lacks {header}: {head}");
        }
        assert!(!head.contains("\r\nserver:"), "{line}: {head}");
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{line}: {body}"));
        assert_eq!(body["code"], code, "{line}");
        assert_eq!(body["type"], format!("/problems/{code}"), "{line}");
        assert_eq!(body["status"], status, "{line}");
        if status == 405 {
            assert!(head.contains("allow: get, head"), "{line}: {head}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_is_get_without_a_body_and_a_clients_request_id_is_kept() {
    let server = Server::start().await;
    let headers = "x-request-id: abc.DEF-1_2\r\n";
    let (status, head, body) = raw(&server, &request("HEAD /health", headers, "")).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 15"), "{head}");
    assert!(head.contains("x-request-id: abc.def-1_2"), "{head}");
    let (_, head, _) = raw(&server, &request("GET /health", "x-request-id: a b\r\n", "")).await;
    assert!(!head.contains("x-request-id: a b"), "{head}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_parsed_strictly_and_errors_name_the_field() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let client = reqwest::Client::new();
    for (body, status, pointer) in [
        ("", 400, ""),
        ("\u{feff}{}", 400, ""),
        ("{} {}", 400, ""),
        (r#"{"name": "\ud800"}"#, 400, ""),
        (r#"{"name": 1e999}"#, 400, ""),
        ("[]", 422, ""),
        ("null", 422, ""),
        ("{}", 422, "/name"),
        (r#"{"name": null}"#, 422, "/name"),
        (r#"{"name": 1}"#, 422, "/name"),
        (r#"{"name": "  "}"#, 422, "/name"),
        (r#"{"name": "a\u0000b"}"#, 422, "/name"),
        (r#"{"name": "a", "name": "b"}"#, 422, "/name"),
        (r#"{"name": "a", "plan": "pro"}"#, 422, "/plan"),
    ] {
        let sent = client
            .post(format!("{}/orgs", server.base_url()))
            .bearer_auth(&owner.token)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        let got = answer(sent).await;
        let code = if status == 400 { "invalid-request" } else { "invalid-fields" };
        assert_eq!(got.outcome(), problem(status, code), "{body}: {}", got.text);
        if !pointer.is_empty() {
            assert_eq!(got.json()["errors"][0]["pointer"], pointer, "{body}: {}", got.text);
        }
    }
    let longest = json!({"name": "x".repeat(200)});
    assert_eq!(server.post("/orgs", &owner, longest).await.status, 201);
    let none = server.get("/orgs?limit=0", &owner).await;
    assert_eq!(none.outcome(), problem(400, "invalid-request"));
    assert_eq!(none.json()["errors"][0]["pointer"], "?limit");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_is_limited_to_two_mebibytes() {
    let server = Server::start().await;
    let limit = 2 * 1024 * 1024;
    let client = reqwest::Client::new();
    for (length, status) in [(limit, 200), (limit + 1, 413)] {
        let start = r#"{"id":"evt_long","type":"x","padding":""#;
        let body = format!("{start}{}\"}}", "a".repeat(length - start.len() - 2));
        assert_eq!(body.len(), length);
        let now = mt_core::clock::Clock::now(&mt_core::clock::SystemClock);
        let signature = mt_stripe::signature::sign(crate::support::SECRET, body.as_bytes(), now);
        let sent = client
            .post(format!("{}/webhooks/stripe", server.base_url()))
            .header("stripe-signature", signature)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), status, "{length}");
    }
    server.stop().await;
}

#[handler]
async fn panics() -> Result<String, ApiError> {
    panic!("on purpose, with a secret in it")
}

#[handler]
async fn works() -> &'static str {
    "ok"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_fails_one_request() {
    let router = Router::new()
        .push(Router::with_path("panics").get(panics))
        .push(Router::with_path("works").get(works));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shell = service(router, ShellOptions::default());
    let server = tokio::spawn(serve(listener, shell, std::future::pending(), Timeouts::default()));
    for _ in 0..3 {
        let spoiled = answer(reqwest::get(format!("{base}/panics")).await.unwrap()).await;
        assert_eq!(spoiled.outcome(), problem(500, "internal"));
        assert!(!spoiled.text.contains("secret"), "{}", spoiled.text);
        let fine = reqwest::get(format!("{base}/works")).await.unwrap();
        assert_eq!(fine.text().await.unwrap(), "ok");
    }
    server.abort();
}
