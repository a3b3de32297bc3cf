//! The shell around routes of every kind, on a real socket, down to the bytes.

use std::sync::Arc;
use std::time::Duration;

use mt_tower::problem::Problem;
use mt_tower::{Guard, Pass, View};
use reference_server::http::body::BodyLimits;
use reference_server::http::fields::{Description, Email, Name, Patch};
use reference_server::http::guard::SalvoGuard;
use reference_server::http::problem::ApiError;
use reference_server::http::service::{Patience, ShellOptions};
use reference_server::http::{body, json};
use reference_server::routes::health::{self, Checks, Readiness};
use salvo::http::{HeaderValue, StatusCode, StatusError};
use salvo::prelude::*;
use salvo::test::TestClient;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::wire::{Shelled, within};

const JSON: &str = "content-type: application/json\r\n";
const MIB: u64 = 1024 * 1024;

#[handler]
async fn works() -> &'static str {
    "works"
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: Name,
    email: Option<Email>,
    #[serde(default)]
    note: Patch<Description>,
}

#[handler]
async fn read_form(req: &mut Request) -> Result<String, ApiError> {
    let Form { name, email, note } = json::read(req).await?;
    Ok(format!("{} {} {}", name.as_str(), email.is_some(), note.into_option().is_some()))
}

#[handler]
async fn measure(req: &mut Request) -> Result<String, ApiError> {
    Ok(body::read(req, MIB).await?.len().to_string())
}

#[handler]
async fn panics(res: &mut Response) {
    res.headers_mut().insert("x-of-the-handler", HeaderValue::from_static("half done"));
    panic!("on purpose, with a secret in it")
}

#[handler]
async fn fails(req: &mut Request, res: &mut Response) {
    match req.query::<String>("how").as_deref() {
        Some("status-error") => res.render(StatusError::bad_request().brief("internals")),
        Some("html") => {
            res.status_code(StatusCode::FORBIDDEN);
            res.render(Text::Html("<h1>internals</h1>"));
        }
        Some("text") => {
            res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
            res.render(Text::Plain("internals"));
        }
        Some("teapot") => drop(res.status_code(StatusCode::IM_A_TEAPOT)),
        Some("gateway") => drop(res.status_code(StatusCode::BAD_GATEWAY)),
        _ => drop(res.status_code(StatusCode::CONFLICT)),
    }
}

fn routes() -> Router {
    Router::new()
        .push(Router::with_path("works").get(works).delete(works))
        .push(Router::with_path("items/{id}").get(works))
        .push(Router::with_path("form").post(read_form))
        .push(Router::with_path("count").post(measure))
        .push(Router::with_path("panics").get(panics))
        .push(Router::with_path("fails").get(fails))
        // No method is named, so that salvo itself would take any.
        .push(Router::with_path("anything").goal(works))
}

fn fields(count: usize) -> String {
    (0..count).fold(String::new(), |all, n| format!("{all}x-{n}: 1\r\n"))
}

#[tokio::test]
async fn sixty_four_fields_are_read_and_more_are_refused() {
    let server = Shelled::start(routes()).await;
    // `host` is one of them.
    assert_eq!(server.ask("GET /works", &fields(63), "").await.status, 200);
    for count in [64, 99, 100, 101, 200, 255] {
        let reply = server.ask("GET /works", &fields(count), "").await;
        reply.assert_problem(431, "headers-too-large");
    }
    // Past what a request could mean, the transport answers and closes.
    let mut wire = server.connect().await;
    let absurd = wire.ask("GET /works", &fields(300), "").await;
    assert_eq!((absurd.status, absurd.body.as_str()), (431, ""));
    assert_eq!(wire.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn sixteen_kibibytes_of_head_are_read_and_more_are_refused() {
    let server = Shelled::start(routes()).await;
    let bare = "GET /works HTTP/1.1\r\nhost: x\r\nx-wide: \r\n\r\n".len();
    let wide = |bytes: usize| format!("x-wide: {}\r\n", "a".repeat(bytes - bare));
    assert_eq!(server.ask("GET /works", &wide(16 * 1024), "").await.status, 200);
    for bytes in [16 * 1024 + 1, 20 * 1024, 100 * 1024] {
        let reply = server.ask("GET /works", &wide(bytes), "").await;
        reply.assert_problem(431, "headers-too-large");
    }
    let target = format!("GET /works?{}", "a".repeat(20 * 1024));
    server.ask(&target, "", "").await.assert_problem(431, "headers-too-large");
    // It comes before everything else.
    server.ask("GET /nowhere", &fields(70), "").await.assert_problem(431, "headers-too-large");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_declared_or_chunked() {
    let options = ShellOptions {
        body_limits: BodyLimits::default().with("/count", MIB),
        ..ShellOptions::default()
    };
    let server = Shelled::start_with(routes(), options, Patience::default()).await;
    let declared = |length: usize| format!("{JSON}content-length: {length}\r\n");
    let form = |length: usize| format!("{}{{\"name\":\"n\"}}", " ".repeat(length - 12));
    let limit = 64 * 1024;

    let fits = server.ask("POST /form", &declared(limit), &form(limit)).await;
    assert_eq!((fits.status, fits.body.as_str()), (200, "n false false"));
    // Nothing of the body was sent: the length alone is enough.
    let refused = server.ask("POST /form", &declared(limit + 1), "").await;
    refused.assert_problem(413, "too-large");
    server.ask("POST /nowhere", &declared(limit + 1), "").await.assert_problem(413, "too-large");

    let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
    for (length, status) in [(limit, 200), (limit + 1, 413)] {
        let body = form(length);
        let (one, two) = body.split_at(40_000);
        let body = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        let reply = server.ask("POST /form", &chunked, &body).await;
        assert_eq!(reply.status, status, "{length}: {reply:?}");
    }

    let whole = usize::try_from(MIB).unwrap();
    let reply = server.ask("POST /count", &declared(whole), &"x".repeat(whole)).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "1048576"));
    server.ask("POST /count", &declared(whole + 1), "").await.assert_problem(413, "too-large");
    server.stop().await;
}

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
async fn a_path_has_one_spelling() {
    let server = Shelled::start(routes()).await;
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
async fn methods_that_a_path_lacks_are_refused_with_those_it_has() {
    let server = Shelled::start(routes()).await;
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
    let server = Shelled::start(routes()).await;
    for path in ["/works", "/nowhere", "/panics", "/fails"] {
        let get = server.ask(&format!("GET {path}"), "x-request-id: same\r\n", "").await;
        let mut wire = server.connect().await;
        let head = wire.ask(&format!("HEAD {path}"), "x-request-id: same\r\n", "").await;
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "x-request-id"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        head.assert_hardened();
        // Had a body followed, it would be read as the next answer's head.
        assert_eq!(wire.ask("GET /works", "", "").await.body, "works", "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn options_is_for_the_preflight_of_known_origins() {
    let options = ShellOptions {
        cors_origins: vec![HeaderValue::from_static("https://app.example.org")],
        ..ShellOptions::default()
    };
    let server = Shelled::start_with(routes(), options, Patience::default()).await;
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

#[tokio::test]
async fn every_error_becomes_a_problem() {
    let server = Shelled::start(routes()).await;
    for (how, status, code) in [
        ("status-error", 400, "invalid-request"),
        ("html", 403, "forbidden"),
        ("text", 500, "internal"),
        ("empty", 409, "conflict"),
        ("teapot", 400, "invalid-request"),
        ("gateway", 500, "internal"),
    ] {
        let reply = server.ask(&format!("GET /fails?how={how}"), "", "").await;
        reply.assert_problem(status, code);
        assert!(!reply.body.contains("internals"), "{how}: {reply:?}");
    }
    server.stop().await;
}

/// Announces a quota, and refuses or panics when asked to.
struct Announce;

impl Guard for Announce {
    async fn check<'a>(&'a self, view: View<'a>) -> Result<Pass, Problem> {
        match view.uri.query() {
            Some("refuse") => Err(Problem::NOT_FOUND),
            Some("panic") => panic!("a guard fell over"),
            _ => Ok(Pass::new().with_header(
                salvo::http::HeaderName::from_static("ratelimit"),
                HeaderValue::from_static("\"a\";r=1;t=1"),
            )),
        }
    }
}

#[tokio::test]
async fn a_panic_spoils_one_answer_and_not_the_connection() {
    let router = Router::new().hoop(SalvoGuard::new(Announce)).push(routes());
    let server = Shelled::start(router).await;
    let mut wire = server.connect().await;
    for _ in 0..3 {
        let reply = wire.ask("GET /panics", "x-request-id: mine\r\n", "").await;
        reply.assert_problem(500, "internal");
        assert!(!reply.body.contains("secret"), "{reply:?}");
        assert_eq!(reply.header("x-request-id"), Some("mine"));
        // What the handler had begun is gone, what a guard had promised is not.
        assert_eq!(reply.header("x-of-the-handler"), None);
        assert_eq!(reply.header("ratelimit"), Some("\"a\";r=1;t=1"));
        assert_eq!(wire.ask("GET /works", "", "").await.body, "works");
    }
    let reply = wire.ask("GET /works?panic", "x-request-id: mine\r\n", "").await;
    reply.assert_problem(500, "internal");
    let head = wire.ask("HEAD /works?panic", "", "").await;
    assert_eq!(head.status, 500);
    assert_eq!(wire.ask("GET /works", "", "").await.body, "works");
    server.stop().await;
}

#[tokio::test]
async fn guards_answer_before_bodies_are_looked_at() {
    let guarded = Router::new().hoop(SalvoGuard::new(Announce)).push(routes());
    let server = Shelled::start(guarded).await;
    for (headers, body) in [("content-length: 1\r\n", "{"), ("", "")] {
        let refused = server.ask("POST /form?refuse", headers, body).await;
        refused.assert_problem(404, "not-found");
        // The control: the same request is about its body once the guard lets it in.
        let admitted = server.ask("POST /form", headers, body).await;
        admitted.assert_problem(415, "unsupported-media-type");
        assert_eq!(admitted.header("ratelimit"), Some("\"a\";r=1;t=1"));
    }
    // An unknown method comes before the guard.
    let reply = server.ask("PUT /form?refuse", "", "").await;
    reply.assert_problem(405, "method-not-allowed");
    server.stop().await;
}

#[tokio::test]
async fn faults_of_a_body_are_told_in_order() {
    let server = Shelled::start(routes()).await;
    for (headers, body, status, code) in [
        ("content-type: text/plain\r\n", "", 415, "unsupported-media-type"),
        ("content-type: application/json; charset=latin1\r\n", "{", 415, "unsupported-media-type"),
        (
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            "{",
            415,
            "unsupported-media-type",
        ),
        (JSON, "", 400, "invalid-request"),
        (JSON, "{\"x\":1,\"x\":2", 400, "invalid-request"),
        (JSON, "{\"x\":1}", 422, "invalid-fields"),
        ("content-type: APPLICATION/JSON;charset=UTF-8\r\n", "{\"name\":1}", 422, "invalid-fields"),
    ] {
        let headers = format!("{headers}content-length: {}\r\n", body.len());
        server.ask("POST /form", &headers, body).await.assert_problem(status, code);
    }
    let body = r#"{"name":"\n","email":"nobody","note":"\u000b","extra":1}"#;
    let headers = format!("{JSON}content-length: {}\r\n", body.len());
    let reply = server.ask("POST /form", &headers, body).await;
    for pointer in ["/name", "/email", "/note", "/extra"] {
        assert!(reply.body.contains(&format!("\"pointer\":\"{pointer}\"")), "{}", reply.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_lives_on_after_refusals() {
    let server = Shelled::start(routes()).await;
    let mut wire = server.connect().await;
    let bad = format!("{JSON}content-length: 1\r\n");
    wire.ask("GET /nowhere", "", "").await.assert_problem(404, "not-found");
    wire.ask("PUT /works", "", "").await.assert_problem(405, "method-not-allowed");
    wire.ask("POST /form", &bad, "{").await.assert_problem(400, "invalid-request");
    wire.ask("GET /works", &fields(70), "").await.assert_problem(431, "headers-too-large");
    assert_eq!(wire.ask("GET /works", "", "").await.body, "works");
    // Two at once, answered in order.
    wire.send(b"GET /works HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(wire.reply(true).await.status, 200);
    wire.reply(true).await.assert_problem(404, "not-found");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_http_gets_a_closed_connection() {
    let server = Shelled::start(routes()).await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"GET /works\r\n\r\n",
        b"GET /works HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    ] {
        let mut wire = server.connect().await;
        wire.send(bytes).await;
        let rest = wire.rest().await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
        assert_eq!(server.ask("GET /works", "", "").await.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_not_waited_for() {
    let short = Duration::from_millis(200);
    let patience = Patience { head: short, body: short, ..Patience::default() };
    let server = Shelled::start_with(routes(), ShellOptions::default(), patience).await;
    let mut slow_head = server.connect().await;
    slow_head.send(b"GET /works HTTP/1.1\r\nhost:").await;
    assert_eq!(slow_head.rest().await, "");
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut slow_body = server.connect().await;
    let headers = format!("{JSON}content-length: 9\r\n");
    slow_body.ask("POST /form", &headers, "{").await.assert_problem(400, "invalid-request");
    server.stop().await;
}

/// Says that it was begun, and finishes when it is told to.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl Handler for Slow {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        self.begun.notify_one();
        self.go_on.notified().await;
        res.render("finished");
    }
}

#[tokio::test]
async fn a_stop_waits_for_requests_under_way() {
    let slow = Slow::default();
    let server = Shelled::start(Router::with_path("slow").get(slow.clone())).await;
    let (address, mut wire) = (server.address, server.connect().await);
    wire.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(slow.begun.notified()).await;
    let served = server.begin_stop();
    // Whoever comes now is refused instead of being left waiting.
    within(async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!served.is_finished());
    slow.go_on.notify_one();
    assert_eq!(wire.reply(true).await.body, "finished");
    within(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let slow = Slow::default();
    let router = Router::with_path("slow").get(slow.clone());
    let patience = Patience { stop: Duration::from_millis(100), ..Patience::default() };
    let server = Shelled::start_with(router, ShellOptions::default(), patience).await;
    let mut wire = server.connect().await;
    wire.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(slow.begun.notified()).await;
    server.stop().await;
    assert_eq!(wire.rest().await, "");
}

struct AllThere;

#[async_trait]
impl Checks for AllThere {
    async fn database(&self) -> bool {
        true
    }

    async fn redis(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_stopping_server_says_so_in_its_own_words() {
    let readiness = Readiness::new(AllThere, true);
    let server = Shelled::start(health::routes(readiness.clone())).await;
    let health = server.ask("GET /health", "", "").await;
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok"}"#));
    let checks = r#""checks":{"db":true,"redis":true}"#;
    let ready = server.ask("GET /ready", "", "").await;
    assert_eq!((ready.status, ready.body), (200, format!(r#"{{"status":"ok",{checks}}}"#)));
    readiness.stop();
    let unready = server.ask("GET /ready", "", "").await;
    unready.assert_hardened();
    assert_eq!(
        (unready.status, unready.body),
        (503, format!(r#"{{"status":"unready",{checks}}}"#))
    );
    assert_eq!(server.ask("GET /health", "", "").await.status, 200);
    server.stop().await;
}

mod whatever_the_body {
    use proptest::prelude::*;
    use reference_server::http::service::{ShellOptions, service};
    use salvo::test::{ResponseExt as _, TestClient};

    use super::routes;

    /// Status and body of the answer to `body`.
    fn answer(body: Vec<u8>) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let service = service(routes(), ShellOptions::default());
            let request = TestClient::post("http://x/form").body(body);
            let request = request.add_header("content-type", "application/json", true);
            let mut answer = request.send(&service).await;
            (answer.status_code.unwrap().as_u16(), answer.take_string().await.unwrap_or_default())
        })
    }

    /// Text that is made of what JSON is made of, so that some of it is JSON.
    const NEARLY_JSON: &str = r#"([{}\[\]:, ]|"(name|email|note|\\u0000|\\ud800|~|/)"|null|true|-?[0-9]{1,20}|1e999){0,40}"#;
    const OBJECT: &str =
        r#"\{("(name|email|note|x)":("[a@ ]{0,4}"|null|[0-9]|\[\]|\{\}),?){0,4}\}"#;

    fn assert_no_fault_of_ours(body: Vec<u8>) {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (status, text) = answer(body);
        assert!(matches!(status, 200 | 400 | 422), "{status} for {shown:?}: {text}");
        if status != 200 {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["status"], status, "{shown:?}: {text}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_fault_of_the_server(body in any::<Vec<u8>>()) {
            assert_no_fault_of_ours(body);
        }

        #[test]
        fn near_json_is_no_fault_of_the_server(body in NEARLY_JSON) {
            assert_no_fault_of_ours(body.into_bytes());
        }

        #[test]
        fn odd_objects_are_no_fault_of_the_server(body in OBJECT) {
            assert_no_fault_of_ours(body.into_bytes());
        }
    }

    /// The control: the bodies above can reach the handler.
    #[test]
    fn a_good_body_is_read() {
        let (status, text) = answer(br#"{"name":"a"}"#.to_vec());
        assert_eq!((status, text.as_str()), (200, "a false false"));
    }
}
