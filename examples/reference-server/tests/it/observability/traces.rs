//! Export of spans to a collector, and the log when export fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::observability::logs::{PARENT, answered};
use crate::support::process::{ServerProcess, database, parsed};

const LOST: &str = "traces do not reach the collector";
const FOUND: &str = "traces reach the collector again";

/// Enough of a collector to see what comes.
struct Collector {
    url: String,
    /// The status that it answers.
    status: Arc<AtomicU16>,
    received: UnboundedReceiver<Received>,
}

/// A request: its head and all of it.
struct Received {
    head: String,
    bytes: Vec<u8>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(200));
        let (sender, received) = unbounded_channel();
        let answer = Arc::clone(&status);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = receive(&mut stream).await;
                let status = answer.load(Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = sender.send(request);
            }
        });
        Self { url, status, received }
    }

    /// Asks the server for something until this many requests more have arrived here.
    async fn hear(&mut self, server: &ServerProcess, requests: usize) {
        for _ in 0..requests {
            loop {
                assert_eq!(server.send(Method::GET, "/me", &[], None).await.status, 401);
                let wait = tokio::time::timeout(Duration::from_millis(100), self.received.recv());
                if wait.await.is_ok_and(|received| received.is_some()) {
                    break;
                }
            }
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
        break (head, end + 4 + length);
    };
    while bytes.len() < length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    Received { head, bytes }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_a_collector_with_the_ids_of_the_log() {
    let mut collector = Collector::start().await;
    let db = database().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    let trace = RandomIdGenerator::default().new_trace_id().to_string();
    let parent = format!("00-{trace}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("x-request-id", "exported")];
    assert_eq!(server.send(Method::GET, "/me", &headers, None).await.status, 401);
    // What is not exported yet is when it stops.
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let lines = parsed(&lines);
    let span = &answered(&lines, "exported")["span"];
    assert_eq!(span["trace_id"], trace);
    let own = span["span_id"].as_str().unwrap();
    let mut found = false;
    while let Ok(Received { head, bytes }) = collector.received.try_recv() {
        assert!(head.starts_with("post /v1/traces "), "{head}");
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        found |= has(&hex::decode(&trace).unwrap())
            && has(&hex::decode(own).unwrap())
            && has(&hex::decode(PARENT).unwrap())
            && has(b"mt-server");
    }
    assert!(found, "the span has arrived");
}

/// Settings of a `.env` count like those of the process, of which the exporter knows by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_endpoint_is_taken_as_opentelemetry_specifies_it() {
    let db = database().await;
    for (settings, path, header) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT={url}", "/v1/traces", None),
        ("OTEL_EXPORTER_OTLP_ENDPOINT={url}/", "/v1/traces", None),
        ("OTEL_EXPORTER_OTLP_ENDPOINT={url}/base", "/base/v1/traces", None),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT={url}/base/\n\
             OTEL_EXPORTER_OTLP_HEADERS='x-key=hunter2%20hunter3, x-other=b'",
            "/base/v1/traces",
            Some("x-key: hunter2 hunter3"),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1\n\
             OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={url}/as/it/is/?key=hunter2\n\
             OTEL_EXPORTER_OTLP_HEADERS=x-key=hunter3\n\
             OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-key=hunter4",
            "/as/it/is/?key=hunter2",
            Some("x-key: hunter4"),
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={url}", "/", None),
    ] {
        let mut collector = Collector::start().await;
        let folder = tempfile::tempdir().unwrap();
        let common = "OTEL_SERVICE_NAME=a-name-of-its-own\nOTEL_BSP_SCHEDULE_DELAY=20\n\
                      OTEL_RESOURCE_ATTRIBUTES='deployment.environment.name=the%20first'";
        let file = format!("{}\n{common}\n", settings.replace("{url}", &collector.url));
        std::fs::write(folder.path().join(".env"), file).unwrap();
        let server = ServerProcess::start_in(folder.path(), &db.login_url(), &[]).await;
        assert_eq!(server.send(Method::GET, "/me", &[], None).await.status, 401);
        let wait = tokio::time::timeout(Duration::from_secs(30), collector.received.recv());
        let Received { head, bytes } = wait.await.expect("spans arrive").unwrap();
        assert!(head.starts_with(&format!("post {path} ")), "{settings}: {head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(header.is_none_or(|header| head.contains(header)), "{settings}: {head}");
        for text in ["a-name-of-its-own", "deployment.environment.name", "the first"] {
            assert!(bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
        }
        let (status, lines) = server.stop();
        assert!(status.success(), "{status}");
        let secret = lines.iter().find(|line| line.contains("hunter"));
        assert_eq!(secret, None, "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_exporter_is_logged_once_and_its_recovery_too() {
    let mut collector = Collector::start().await;
    collector.status.store(400, Ordering::SeqCst);
    let db = database().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    collector.hear(&server, 4).await;
    server.logs(LOST, 1).await;
    collector.status.store(200, Ordering::SeqCst);
    collector.hear(&server, 3).await;
    server.logs(FOUND, 1).await;
    collector.status.store(400, Ordering::SeqCst);
    collector.hear(&server, 4).await;
    server.logs(LOST, 2).await;
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let about: Vec<_> = parsed(&lines)
        .iter()
        .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("the collector")))
        .map(|line| (line["level"].clone(), line["message"].clone()))
        .collect();
    let lost = format!("{LOST}: Operation failed: HTTP export failed with status code: 400");
    assert_eq!(
        about,
        [
            ("WARN".into(), lost.clone().into()),
            ("INFO".into(), FOUND.into()),
            ("WARN".into(), lost.into())
        ]
    );
}

/// A collector that is away costs traces and nothing else, and the log has the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_collector_the_server_serves_and_stops() {
    let db = database().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/?key=hunter2"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    assert_eq!(server.send(Method::GET, "/me", &[], None).await.status, 401);
    server.logs(LOST, 1).await;
    assert_eq!(server.send(Method::GET, "/health", &[], None).await.status, 200);
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let lost: Vec<_> = lines.iter().filter(|line| line.contains(LOST)).collect();
    assert_eq!(lost.len(), 1, "{lost:#?}");
    assert!(lost[0].contains("Connection refused"), "{lost:?}");
    assert!(!lines.join("\n").contains("hunter2"));
}

/// Whether a request with this `traceparent` is exported, by a server with these settings.
async fn is_exported(db_url: &str, flags: &str, more: &[(&str, &str)]) -> bool {
    let mut collector = Collector::start().await;
    let mut settings = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    settings.extend(more);
    let server = ServerProcess::start(db_url, &settings).await;
    let trace = RandomIdGenerator::default().new_trace_id().to_string();
    let parent = format!("00-{trace}-{PARENT}-{flags}");
    let headers =
        [("traceparent", &*parent), ("tracestate", "planted=planted"), ("x-request-id", "one")];
    assert_eq!(server.send(Method::GET, "/me", &headers, None).await.status, 401);
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    assert_eq!(
        answered(&parsed(&lines), "one")["span"]["trace_id"],
        trace,
        "the log has the caller's id"
    );
    let id = hex::decode(&trace).unwrap();
    let mut found = false;
    while let Ok(Received { bytes, .. }) = collector.received.try_recv() {
        found |= bytes.windows(id.len()).any(|window| window == id);
        let is_trusted = more.iter().any(|(name, _)| *name == "TRUSTED_PROXIES");
        assert!(
            is_trusted || !bytes.windows(7).any(|window| window == b"planted"),
            "its tracestate"
        );
    }
    found
}

/// The control is a peer that is trusted: of it the same header decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn untrusted_traceparent_does_not_decide_what_is_exported() {
    let db = database().await;
    let trusted = ("TRUSTED_PROXIES", "127.0.0.0/8");
    for (sampler, own) in [("parentbased_always_on", true), ("parentbased_always_off", false)] {
        let sampler = ("OTEL_TRACES_SAMPLER", sampler);
        for (flags, said) in [("01", true), ("00", false)] {
            let stranger = is_exported(&db.login_url(), flags, &[sampler]).await;
            assert_eq!(stranger, own, "{sampler:?} {flags}");
            let proxy = is_exported(&db.login_url(), flags, &[sampler, trusted]).await;
            assert_eq!(proxy, said, "{sampler:?} {flags}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_exporter_sends_nothing() {
    let mut collector = Collector::start().await;
    let db = database().await;
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_SDK_DISABLED", "TRUE")];
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    assert_eq!(server.send(Method::GET, "/me", &[], None).await.status, 401);
    // Enabled, it would send what it has at the latest now, as above.
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    assert!(collector.received.try_recv().is_err());
}
