//! Log messages about unavailable dependencies: at the start, and when `/ready` changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use reqwest::Method;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::process::{ServerProcess, parsed};

const AWAY_AT_START: &str = "`REDIS_URL` does not answer";
const FAILS: &str = "not ready: a check fails";
const RECOVERED: &str = "ready again";

/// An address of the tests' Redis that can be closed: what is connected is cut, and what connects as well.
struct Gate {
    url: String,
    is_open: watch::Sender<bool>,
    connected: Arc<AtomicUsize>,
}

impl Gate {
    async fn to_redis() -> Self {
        let redis = std::env::var("MT_TEST_REDIS_URL").expect("`make test` names a Redis");
        let mut url = reqwest::Url::parse(&redis).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(6379));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (is_open, seen) = watch::channel(true);
        let connected = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connected);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut seen) = (server.clone(), seen.clone());
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = seen.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { url: url.to_string(), is_open, connected }
    }
}

async fn database() -> TestDatabase {
    TestDatabase::create_with(&[schema::product()]).await.unwrap()
}

/// Asks until the answer is this one.
async fn until(server: &ServerProcess, status: u16) {
    let asking = async {
        while server.send(Method::GET, "/ready", &[], None).await.status != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("`/ready` changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_without_redis_starts_with_a_warning() {
    let db = database().await;
    let away = [("REDIS_URL", "redis://:hunter2@127.0.0.1:1")];
    // The control: with the tests' Redis it does not warn.
    for (settings, times) in [(&away[..], 1), (&[], 0)] {
        let server = ServerProcess::start(&db.login_url(), settings).await;
        assert_eq!(server.send(Method::GET, "/health", &[], None).await.status, 200);
        let (status, lines) = server.stop();
        assert!(status.success(), "{status}");
        let warned: Vec<_> = lines.iter().filter(|line| line.contains(AWAY_AT_START)).collect();
        assert_eq!(warned.len(), times, "{lines:#?}");
        assert!(warned.iter().all(|line| line.contains("WARN") && !line.contains("hunter2")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_readiness_is_logged_once() {
    let (db, gate) = (database().await, Gate::to_redis().await);
    let server = ServerProcess::start(&db.login_url(), &[("REDIS_URL", &gate.url)]).await;
    for _ in 0..2 {
        until(&server, 200).await;
        gate.is_open.send_replace(false);
        for _ in 0..3 {
            until(&server, 503).await;
        }
        gate.is_open.send_replace(true);
        for _ in 0..3 {
            until(&server, 200).await;
        }
    }
    assert!(gate.connected.load(Ordering::SeqCst) > 2, "the gate was gone through");
    let (status, lines) = server.stop();
    assert!(status.success(), "{status}");
    let lines = parsed(&lines);
    let told = lines.iter().filter_map(|line| match line["message"].as_str()? {
        FAILS => Some((line["level"].as_str()?, line["failing"].as_str()?)),
        RECOVERED => Some((line["level"].as_str()?, line["recovered"].as_str()?)),
        _ => None,
    });
    let change = [("WARN", "redis"), ("INFO", "redis")];
    assert_eq!(told.collect::<Vec<_>>(), [change, change].concat());
}
