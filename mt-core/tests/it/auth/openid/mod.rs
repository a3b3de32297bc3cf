//! Tokens of identity providers, and a provider that rotates its keys, is slow, broken or away.

mod certified_provider;
mod outages;
mod rotation;
mod vectors;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use mt_core::auth::AuthError;
use mt_core::auth::openid::{HttpFetch, OpenIdVerifier, VerifiedToken};
use mt_core::clock::ManualClock;
use serde_json::{Value, json};

use crate::support::openid::{Provider, Signer};

const NOW: i64 = 1_800_000_000;

/// A provider, a verifier of its tokens that fetches by HTTP, and the time.
struct Scene {
    provider: Provider,
    verifier: OpenIdVerifier,
    clock: Arc<ManualClock>,
}

impl Scene {
    async fn new(keys: &[&Signer]) -> Self {
        let provider = Provider::start(keys).await;
        let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(NOW, 0).unwrap()));
        let fetch = HttpFetch::new().unwrap();
        let verifier =
            OpenIdVerifier::with_clock(provider.config(), fetch, Arc::clone(&clock)).unwrap();
        Self { provider, verifier, clock }
    }

    /// Claims of a token for the API that never expires here.
    fn claims(&self) -> Value {
        json!({
            "iss": self.provider.issuer(), "sub": "ada", "aud": "api", "iat": NOW, "exp": NOW + 1_000_000,
        })
    }

    async fn verify(&self, key: &Signer) -> Result<VerifiedToken, AuthError> {
        self.verifier.verify(&key.token(&self.claims())).await
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }
}

fn reason(verified: Result<VerifiedToken, AuthError>) -> String {
    match verified {
        Err(AuthError::Invalid(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The errors behind a token that could not be checked, as one text.
fn cause(verified: Result<VerifiedToken, AuthError>) -> String {
    let Err(AuthError::Unavailable(error)) = verified else {
        panic!("expected no answer, got {verified:?}");
    };
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    texts.join(": ")
}
