//! Counts over TLS. Trusted authorities are a variable of the process, so each case runs in its own process.

use std::process::Command;
use std::time::Duration;

use mt_core::testing::{Certificates, TlsRedis};

use super::*;

const URL: &str = "MT_TEST_TLS_URL";
const KIND: &str = "MT_TEST_TLS_KIND";

/// Runs [`counts_in_the_store_of_the_environment`] in a process that trusts the authority in the file `ca`.
fn run(kind: &str, url: &str, ca: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "limit::redis_tls::counts_in_the_store_of_the_environment",
            "--nocapture",
        ])
        .envs([(URL, url), (KIND, kind), ("SSL_CERT_FILE", ca)])
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("running 1 test"), "{said}");
    (output.status.success(), said)
}

#[test]
fn counts_go_over_verified_tls() {
    // The binary's choice of a crypto backend, which the connection needs.
    assert!(rustls::crypto::aws_lc_rs::default_provider().cipher_suites.len() > 1);
    let (Some(own), Some(other)) = (Certificates::make(), Certificates::make()) else {
        return eprintln!("not checked: there is no `openssl` to make certificates with");
    };
    for kind in ["one server", "a cluster"] {
        let more: &[&str] = match kind {
            "a cluster" => &["--tls-cluster", "yes", "--cluster-enabled", "yes"],
            _ => &[],
        };
        let folder = tempfile::tempdir().unwrap();
        let more = [more, &["--dir", folder.path().to_str().unwrap()]].concat();
        let Some(redis) = TlsRedis::start(&own, &more) else {
            return eprintln!("not checked: there is no `redis-server` with TLS");
        };
        if kind == "a cluster" {
            assert_eq!(redis.cli(&own, "CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
            while !redis.cli(&own, "CLUSTER INFO").contains("cluster_state:ok") {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let (fine, said) = run(kind, &redis.url(), &own.ca());
        assert!(fine, "{kind}: {said}");
        assert_eq!(redis.cli(&own, "DBSIZE"), "1", "{kind}: what was counted is there");
        // The controls: another authority, and a name that is not in the certificate.
        let other_name = redis.url().replace("127.0.0.1", "localhost");
        for (url, ca, why) in [
            (redis.url(), other.ca(), "UnknownIssuer"),
            (other_name, own.ca(), "not valid for name"),
        ] {
            let (fine, said) = run(kind, &url, &ca);
            assert!(!fine && said.contains(why), "{kind}: {said}");
        }
    }
}

/// Run by [`counts_go_over_verified_tls`]; by itself it has nothing to do.
#[tokio::test]
async fn counts_in_the_store_of_the_environment() {
    let Ok(url) = std::env::var(URL) else { return };
    // A busy machine may need more than the time that a handshake is given.
    if std::env::var(KIND).unwrap() == "a cluster" {
        counts_at_last(&RedisClusterStore::lazy([&*url]).unwrap()).await;
    } else {
        counts_at_last(&RedisStore::lazy(&url).unwrap()).await;
    }
}

async fn counts_at_last(store: &impl LimitStore) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match store.count("a key", plenty()).await {
            Ok(decision) => return assert!(decision.allowed),
            Err(error) => {
                let error = format!("{error:?}");
                assert!(!error.contains("invalid peer certificate"), "{error}");
                assert!(Instant::now() < deadline, "{error}");
            }
        }
    }
}
