//! Each path has one accepted spelling and a set of methods.

use reference_server::http::service::{ShellOptions, Timeouts};
use salvo::http::HeaderValue;
use salvo::prelude::*;
use salvo::test::TestClient;

use super::routes;
use crate::support::raw_http::TestService;

const OTHER_SPELLINGS: [&str; 13] = [
    "/works/",
    "//works",
    "/works//",
    "/./works",
    "/works/.",
    "/x/../works",
    "/%77orks",
    "/works%2f",
    "/items/a%2fb",
    "/items//a",
    "/items/a/",
    "/items/%2e%2e",
    "/items/..",
];

#[tokio::test]
async fn path_has_one_accepted_spelling() {
    let server = TestService::start(routes()).await;
    assert_eq!(server.ask("GET /works", "", "").await.status, 200);
    assert_eq!(server.ask("GET /items/a.b", "", "").await.status, 200);
    for path in OTHER_SPELLINGS {
        let reply = server.ask(&format!("GET {path}"), "", "").await;
        reply.assert_problem(404, "not-found");
        assert_eq!(reply.header("location"), None, "{path}");
        // Not 405 either: the path is unknown whatever the method.
        server.ask(&format!("PUT {path}"), "", "").await.assert_problem(404, "not-found");
    }
    server.stop().await;
}

/// The control to the test above: without the shell, salvo routes these.
#[tokio::test]
async fn the_bare_router_takes_several_spellings() {
    let service = Service::new(routes());
    for path in ["/works/", "//works", "/%77orks", "/items//a", "/items/a%2fb"] {
        let reply = TestClient::get(format!("http://x{path}")).send(&service).await;
        assert_eq!(reply.status_code, Some(StatusCode::OK), "{path}");
    }
}

#[tokio::test]
async fn unsupported_method_gets_405_with_the_allowed_ones() {
    let server = TestService::start(routes()).await;
    for (line, allow) in [
        ("POST /works", "DELETE, GET, HEAD"),
        ("TRACE /works", "DELETE, GET, HEAD"),
        ("OPTIONS /works", "DELETE, GET, HEAD"),
        ("BREW /works", "DELETE, GET, HEAD"),
        ("get /works", "DELETE, GET, HEAD"),
        ("PUT /items/7", "GET, HEAD"),
        ("GET /form", "POST"),
        ("HEAD /form", "POST"),
        ("TRACE /anything", "DELETE, GET, HEAD, PATCH, POST, PUT"),
        ("OPTIONS /anything", "DELETE, GET, HEAD, PATCH, POST, PUT"),
    ] {
        let reply = server.ask(line, "", "").await;
        if !line.starts_with("HEAD ") {
            reply.assert_problem(405, "method-not-allowed");
        }
        assert_eq!(reply.status, 405, "{line}");
        assert_eq!(reply.header("allow"), Some(allow), "{line}");
    }
    for line in ["GET /", "POST /nowhere", "TRACE /nowhere", "OPTIONS *", "OPTIONS /nowhere"] {
        let reply = server.ask(line, "", "").await;
        reply.assert_problem(404, "not-found");
        assert_eq!(reply.header("allow"), None, "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = TestService::start(routes()).await;
    for path in ["/works", "/nowhere", "/panics", "/fails"] {
        let get = server.ask(&format!("GET {path}"), "x-request-id: same\r\n", "").await;
        let mut connection = server.connect().await;
        let head = connection.ask(&format!("HEAD {path}"), "x-request-id: same\r\n", "").await;
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "x-request-id"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        head.assert_hardened();
        // Had a body followed, it would be read as the next answer's head.
        assert_eq!(connection.ask("GET /works", "", "").await.body, "works", "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn options_is_for_the_preflight_of_known_origins() {
    let options = ShellOptions {
        cors_origins: vec![HeaderValue::from_static("https://app.example.org")],
        ..ShellOptions::default()
    };
    let server = TestService::start_with(routes(), options, Timeouts::default()).await;
    let preflight = |origin| format!("origin: {origin}\r\naccess-control-request-method: GET\r\n");

    let known = server.ask("OPTIONS /works", &preflight("https://app.example.org"), "").await;
    assert_eq!((known.status, known.body.as_str()), (204, ""));
    let granted = known.header("access-control-allow-origin");
    assert_eq!(granted, Some("https://app.example.org"));
    assert_eq!(known.header("access-control-allow-methods"), Some("DELETE, GET, HEAD"));
    assert_eq!(known.header("access-control-allow-credentials"), None);
    assert_eq!(known.header("vary"), Some("origin"));
    known.assert_hardened();

    for origin in [
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "https://APP.example.org",
        "https://app.example.org:443",
        "null",
        "*",
    ] {
        let unknown = server.ask("OPTIONS /works", &preflight(origin), "").await;
        unknown.assert_problem(405, "method-not-allowed");
        assert_eq!(unknown.header("access-control-allow-origin"), None, "{origin}");
        let plain = server.ask("GET /works", &format!("origin: {origin}\r\n"), "").await;
        assert_eq!(plain.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(plain.header("vary"), Some("origin"), "{origin}");
    }
    let origin = "origin: https://app.example.org\r\n";
    server.ask("OPTIONS /works", origin, "").await.assert_problem(405, "method-not-allowed");
    let nowhere = preflight("https://app.example.org");
    server.ask("OPTIONS /nowhere", &nowhere, "").await.assert_problem(404, "not-found");
    // A script may read errors too, those of panics included.
    for path in ["/works", "/nowhere", "/panics"] {
        let reply = server.ask(&format!("GET {path}"), origin, "").await;
        let granted = reply.header("access-control-allow-origin");
        assert_eq!(granted, Some("https://app.example.org"), "{path}");
    }
    server.stop().await;
}
