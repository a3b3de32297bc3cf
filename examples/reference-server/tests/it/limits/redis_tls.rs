//! Rate limits in a Redis over TLS: `REDIS_URL=rediss://…`.

use std::process::{Command, Stdio};

use mt_core::testing::{Certificates, TlsRedis};
use reqwest::Method;
use serde_json::Value;

use crate::support::process::{ServerProcess, database};

/// Runs `doctor` with a trusted certificate authority, and returns its check of Redis.
fn examined(database_url: &str, redis_url: &str, ca: &str) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_mt-server"))
        .args(["doctor", "--json"])
        .env_clear()
        .current_dir(std::env::temp_dir())
        .envs([("APP_ENV", "test"), ("DATABASE_URL", database_url)])
        .envs([("REDIS_URL", redis_url), ("SSL_CERT_FILE", ca)])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "redis").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_counted_over_tls() {
    let (Some(own), Some(other)) = (Certificates::make(), Certificates::make()) else {
        return eprintln!("not checked: there is no `openssl` to make certificates with");
    };
    let Some(redis) = TlsRedis::start(&own, &[]) else {
        return eprintln!("not checked: there is no `redis-server` with TLS");
    };
    let db = database().await;
    let (ca, url) = (own.ca(), redis.url());
    let settings = [("REDIS_URL", &*url), ("SSL_CERT_FILE", &*ca)];
    let server = ServerProcess::start(&db.login_url(), &settings).await;
    // A busy machine may need more than one handshake's time.
    let ready =
        async { while server.send(Method::GET, "/ready", &[], None).await.status != 200 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), ready).await.expect("Redis answers");
    let body = Some(serde_json::json!({"email": "ada@example.org"}));
    let counted = async {
        while redis.cli(&own, "DBSIZE") == "0" {
            let sent = server.send(Method::POST, "/auth/request-link", &[], body.clone()).await;
            assert_eq!(sent.status, 202, "{sent:?}");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), counted)
        .await
        .expect("a count in Redis");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");

    let reachable = (0..20).any(|_| examined(&db.login_url(), &url, &ca)["health"] == "ok");
    assert!(reachable, "{}", examined(&db.login_url(), &url, &ca));
    // The controls: a CA that is not trusted, a name that is not in the certificate, and no TLS.
    let name = url.replace("127.0.0.1", "localhost");
    let plain = url.replace("rediss://", "redis://");
    for (url, ca) in [(&url, &other.ca()), (&name, &ca), (&plain, &ca)] {
        let found = examined(&db.login_url(), url, ca);
        assert_eq!(found["health"], "failed", "{url}: {found}");
    }
}
