//! `mt-server demo`, on Postgres and Redis and on the embedded database.

use reference_server::demo::{self, DemoFailure, DemoTarget};

use crate::support::{SECRET, Server};

async fn play(base_url: String, secret: &str) -> (Result<(), DemoFailure>, String) {
    let mut out = Vec::new();
    let target = DemoTarget { base_url, webhook_secret: Some(secret.to_owned()) };
    let played = demo::run(target, &mut out).await;
    (played, String::from_utf8(out).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_succeeds_on_postgres_and_redis_and_can_be_repeated() {
    let server = Server::start().await;
    for _ in 0..2 {
        let (played, out) = play(server.base_url(), SECRET).await;
        played.unwrap_or_else(|failure| panic!("{out}\n{failure}"));
        assert!(out.contains("All 60 steps passed."), "{out}");
    }
    server.stop().await;
}

/// The negative control: a demo that cannot sign as the server expects stops at that step and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_fails_at_the_first_wrong_answer() {
    let server = Server::start().await;
    let (played, out) = play(server.base_url(), "whsec_of_another_server").await;
    let failure = played.unwrap_err().to_string();
    assert!(failure.contains("POST /webhooks/stripe"), "{failure}");
    assert!(failure.contains("invalid-signature"), "{failure}");
    assert!(!out.contains("steps passed"), "{out}");
    server.stop().await;

    let (unreachable, _) = play("http://127.0.0.1:9".to_owned(), SECRET).await;
    assert!(matches!(unreachable, Err(DemoFailure::Unreachable { .. })), "{unreachable:?}");
}

#[cfg(feature = "embedded")]
#[test]
fn binary_runs_the_demo_on_the_embedded_database() {
    let played = std::process::Command::new(env!("CARGO_BIN_EXE_mt-server"))
        .arg("demo")
        .env_remove("DATABASE_URL")
        .env_remove("BASE_URL")
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success(), "{out}\n{err}");
    assert!(out.contains("All 60 steps passed."), "{out}");
}
