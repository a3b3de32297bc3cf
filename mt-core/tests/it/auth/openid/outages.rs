//! A provider that is away, slow or broken.

use std::io::Write;
use std::sync::{Arc, Mutex};

use mt_core::auth::openid::{HttpFetch, OpenIdVerifier};
use serde_json::json;
use tracing::instrument::WithSubscriber as _;

use super::{Scene, cause, reason};
use crate::support::openid::{Behaviour, Provider, RSA_A, RSA_B, Signer};

fn key() -> Signer {
    Signer::rsa("a", RSA_A)
}

#[tokio::test]
async fn before_the_first_keys_a_token_cannot_be_checked() {
    let key = key();
    let target = Provider::start(&[&key]).await;
    let discovery = |issuer: &str, jwks_uri: &str| {
        Behaviour::Body(json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string())
    };
    for (behaviour, expected) in [
        (Behaviour::Status(500), "could not be fetched: the response has status 500"),
        (Behaviour::Status(404), "the response has status 404"),
        (Behaviour::Status(204), "the response has status 204"),
        (Behaviour::RedirectTo(target.issuer()), "the response has status 302"),
        (Behaviour::Oversize, "more than 262144 bytes"),
        (Behaviour::BreaksOff, "no response"),
        (Behaviour::Body("<html>".to_owned()), "not a discovery document"),
        (Behaviour::Body(r#"{"issuer":"x"}"#.to_owned()), "not a discovery document"),
        (discovery(&target.issuer(), &target.issuer()), "not the configured one"),
    ] {
        let scene = Scene::new(&[&key]).await;
        scene.provider.behave(behaviour.clone());
        let cause = cause(scene.verify(&key).await);
        assert!(cause.contains(expected), "{behaviour:?}: {cause}");
        // Not again within the interval, and then it works.
        scene.provider.behave(Behaviour::Healthy);
        assert!(scene.verify(&key).await.is_err());
        scene.advance(11);
        scene.verify(&key).await.unwrap();
    }
    let scene = Scene::new(&[&key]).await;
    let issuer = scene.provider.issuer();
    for uri in ["http://id.example.org/keys", "file:///keys", "", "http://user@127.0.0.1/keys"] {
        scene.provider.behave(discovery(&issuer, uri));
        assert!(cause(scene.verify(&key).await).contains("is not an https url"), "{uri}");
        scene.advance(11);
    }
    assert_eq!(target.requests(), (0, 0), "redirects are not followed");
}

#[tokio::test]
async fn closed_port_and_silent_server_are_outages_too() {
    let key = key();
    let mut scene = Scene::new(&[&key]).await;
    scene.provider.stop().await;
    assert!(cause(scene.verify(&key).await).contains("no response"));

    let scene = Scene::new(&[&key]).await;
    scene.provider.behave(Behaviour::Silent);
    let started = tokio::time::Instant::now();
    cause(scene.verify(&key).await);
    assert!(started.elapsed().as_secs() < 10, "the fetch has a deadline");
    scene.provider.behave(Behaviour::Healthy);
    scene.advance(11);
    scene.verify(&key).await.unwrap();
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn times(&self, phrase: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(phrase).count()
    }
}

#[tokio::test]
async fn outage_signs_no_user_out_and_is_logged_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    async {
        let (key, new) = (key(), Signer::rsa("b", RSA_B));
        let scene = Scene::new(&[&key]).await;
        scene.verify(&key).await.unwrap();
        scene.provider.behave(Behaviour::Status(503));
        // Fetches fail all day, and the last keys work.
        for n in 1..=23 {
            scene.advance(3600);
            while scene.provider.requests().0 < n + 1 {
                scene.verify(&key).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        // Whether the provider has that key is not known, so its user is not signed out either.
        scene.advance(11);
        assert!(cause(scene.verify(&new).await).contains("status 503"));
        assert!(cause(scene.verify(&new).await).contains("status 503"));
        scene.verify(&key).await.unwrap();

        // A day and some: too stale to tell which keys were withdrawn.
        scene.advance(3600);
        assert!(cause(scene.verify(&key).await).contains("status 503"));
        assert!(cause(scene.verify(&key).await).contains("status 503"));
        assert_eq!(log.times("the last ones stay in use"), 1, "{log:?}");
        assert_eq!(log.times("were fetched again"), 0);

        scene.provider.publish(&[&new]);
        scene.provider.behave(Behaviour::Healthy);
        scene.advance(11);
        scene.verify(&new).await.unwrap();
        assert_eq!(reason(scene.verify(&key).await), "no key has that `kid`");
        assert_eq!(log.times("were fetched again"), 1, "{log:?}");
    }
    .with_current_subscriber()
    .await;
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0.lock().unwrap()))
    }
}

#[tokio::test]
async fn keys_can_be_loaded_at_start() {
    let key = key();
    let scene = Scene::new(&[&key]).await;
    scene.provider.behave(Behaviour::Status(500));
    let error = scene.verifier.load_keys().await.unwrap_err();
    assert!(error.to_string().contains("openid-configuration"), "{error}");
    scene.provider.behave(Behaviour::Healthy);
    scene.verifier.load_keys().await.unwrap();
    scene.verify(&key).await.unwrap();
    assert_eq!(scene.provider.requests(), (2, 1));
}

#[tokio::test]
async fn fixed_key_set_needs_no_discovery() {
    let key = key();
    let scene = Scene::new(&[&key]).await;
    let issuer = scene.provider.issuer();
    let config = scene.provider.config().with_jwks_uri(format!("{issuer}/keys"));
    let fetch = HttpFetch::new().unwrap();
    let verifier = OpenIdVerifier::with_clock(config, fetch, Arc::clone(&scene.clock)).unwrap();
    verifier.verify(&key.token(&scene.claims())).await.unwrap();
    assert_eq!(scene.provider.requests(), (0, 1));
}
