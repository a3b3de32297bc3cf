//! Keys that come and go, and tokens that name keys which do not exist.

use futures_util::future::join_all;
use mt_core::auth::openid::{HttpFetch, OpenIdVerifier};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use super::{Scene, reason};
use crate::support::openid::{RSA_A, RSA_B, Signer};

fn old() -> Signer {
    Signer::rsa("old", RSA_A)
}

fn new() -> Signer {
    Signer::rsa("new", RSA_B)
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens() {
    let key = old();
    let scene = Scene::new(&[&key]).await;
    assert_eq!(scene.provider.requests(), (0, 0));
    let verified = join_all((0..50).map(|_| scene.verify(&key))).await;
    assert!(verified.iter().all(Result::is_ok), "{verified:?}");
    scene.advance(300);
    scene.verify(&key).await.unwrap();
    assert_eq!(scene.provider.requests(), (1, 1));
}

#[tokio::test]
async fn new_key_is_accepted_after_one_fetch_and_withdrawn_key_is_refused() {
    let (old, new) = (old(), new());
    let scene = Scene::new(&[&old]).await;
    scene.verify(&old).await.unwrap();
    scene.provider.publish(&[&new]);
    // Within the interval of the first fetch.
    assert_eq!(reason(scene.verify(&new).await), "no key has that `kid`");
    assert_eq!(scene.provider.requests(), (1, 1));
    scene.advance(11);
    scene.verify(&new).await.unwrap();
    assert_eq!(scene.provider.requests(), (2, 2));
    assert_eq!(reason(scene.verify(&old).await), "no key has that `kid`");
    // The right `kid` with the key of another one.
    let header = json!({ "alg": "RS256", "kid": "new" });
    let forged = old.token_with(&header, &scene.claims());
    assert_eq!(reason(scene.verifier.verify(&forged).await), "the signature does not verify");
}

#[tokio::test]
async fn withdrawn_key_is_refused_once_the_keys_have_aged() {
    let (old, new) = (old(), new());
    let scene = Scene::new(&[&old]).await;
    scene.verify(&old).await.unwrap();
    scene.provider.publish(&[&new]);
    scene.advance(301);
    // Starts a fetch in the background, and does not wait for it.
    scene.verify(&old).await.unwrap();
    while scene.verify(&old).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.provider.requests(), (2, 2));
    scene.verify(&new).await.unwrap();
}

#[tokio::test]
async fn flood_of_unknown_keys_makes_one_fetch_in_an_interval() {
    let key = old();
    let scene = Scene::new(&[&key]).await;
    scene.verify(&key).await.unwrap();
    for interval in 1..=5 {
        scene.advance(11);
        // Each wave comes after the answers to the last one, and its tokens at once.
        for wave in 0..4 {
            let flood = (0..100).map(|n| {
                let unknown = Signer::rsa(&format!("{interval}-{wave}-{n}"), RSA_B);
                let token = unknown.token(&scene.claims());
                let scene = &scene;
                async move { scene.verifier.verify(&token).await }
            });
            for verified in join_all(flood).await {
                assert_eq!(reason(verified), "no key has that `kid`");
            }
        }
        assert_eq!(scene.provider.requests(), (1 + interval, 1 + interval));
    }
    scene.verify(&key).await.unwrap();
}

/// The negative control: with an interval that has passed before each token, each makes a fetch.
#[tokio::test]
async fn unknown_keys_make_a_fetch_each_without_an_interval() {
    let key = old();
    let mut scene = Scene::new(&[&key]).await;
    let config = scene.provider.config().with_refresh_interval(Duration::from_secs(1));
    let fetch = HttpFetch::new().unwrap();
    scene.verifier = OpenIdVerifier::with_clock(config, fetch, Arc::clone(&scene.clock)).unwrap();
    for n in 0..10 {
        scene.advance(2);
        assert!(scene.verify(&Signer::rsa(&format!("{n}"), RSA_B)).await.is_err());
    }
    assert_eq!(scene.provider.requests(), (10, 10));
}

#[tokio::test]
async fn tokens_that_are_refused_anyway_make_no_fetch() {
    let key = old();
    let scene = Scene::new(&[&key]).await;
    let mut claims = scene.claims();
    claims["iss"] = json!("https://id.example.org");
    let other_issuer = key.token(&claims);
    let hs256 = json!({ "alg": "HS256", "kid": "x" });
    let shared_secret = key.token_with(&hs256, &scene.claims());
    let not_accepted = key.token_with(&json!({ "alg": "PS256", "kid": "x" }), &scene.claims());
    for token in [&other_issuer, &shared_secret, &not_accepted, "a.b.c", "", &"x".repeat(20_000)] {
        assert!(scene.verifier.verify(token).await.is_err(), "{token}");
    }
    assert_eq!(scene.provider.requests(), (0, 0));
}

#[tokio::test]
async fn request_that_goes_away_does_not_stop_the_fetch_of_others() {
    let key = old();
    let scene = Scene::new(&[&key]).await;
    let token = key.token(&scene.claims());
    let mut first = Box::pin(scene.verifier.verify(&token));
    assert!(futures_util::poll!(&mut first).is_pending(), "it waits for the fetch");
    drop(first);
    scene.verify(&key).await.unwrap();
    assert_eq!(scene.provider.requests(), (1, 1));
}
