//! Tokens in the shapes of seven providers, and what makes each of them unacceptable.
//!
//! `vectors/` has headers and claims as the providers document them. The signatures are made here, with keys of these
//! tests: the private keys of providers are not known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::DateTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mt_core::auth::AuthError;
use mt_core::auth::openid::{
    OpenIdConfig, OpenIdConfigError, OpenIdVerifier, SigningAlgorithm, VerifiedToken,
};
use mt_core::clock::ManualClock;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::reason;
use crate::support::openid::{InMemory, RSA_B, Signer, unsigned};

#[derive(Deserialize)]
struct Vector {
    provider: String,
    source: String,
    config: Config,
    header: Value,
    claims: Value,
    expected: Expected,
    twisted: Twisted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    issuer: String,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    authorized_parties: Vec<String>,
    #[serde(default)]
    required: BTreeMap<String, Value>,
    dedicated_keys: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    subject: String,
    verified_email: Option<String>,
}

/// What the provider might issue too, and is not for this application.
#[derive(Deserialize)]
struct Twisted {
    #[serde(rename = "is")]
    what: String,
    #[serde(default)]
    header: Map<String, Value>,
    claims: Map<String, Value>,
    reason: String,
}

const VECTORS: [&str; 7] = [
    include_str!("vectors/auth0.json"),
    include_str!("vectors/clerk.json"),
    include_str!("vectors/google.json"),
    include_str!("vectors/keycloak.json"),
    include_str!("vectors/supabase.json"),
    include_str!("vectors/workos.json"),
    include_str!("vectors/zitadel.json"),
];

fn vectors() -> Vec<Vector> {
    VECTORS.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

impl Vector {
    fn config(&self) -> OpenIdConfig {
        let Config { issuer, audiences, authorized_parties, required, dedicated_keys } =
            &self.config;
        let mut config = OpenIdConfig::new(issuer);
        for audience in audiences {
            config = config.accept_audience(audience);
        }
        for party in authorized_parties {
            config = config.accept_authorized_party(party);
        }
        for (name, value) in required {
            config = config.require_claim(name, value.clone());
        }
        match dedicated_keys {
            Some(uri) => config.with_dedicated_keys(uri),
            None => config.with_jwks_uri("https://keys.example.org"),
        }
    }

    fn signer(&self) -> Signer {
        Signer::of(self.header["alg"].as_str().unwrap(), self.header["kid"].as_str().unwrap())
    }

    async fn verify_with(&self, keys: &[Value], token: &str) -> Result<VerifiedToken, AuthError> {
        let issued = self.claims["iat"].as_i64().unwrap();
        let clock = ManualClock::at(DateTime::from_timestamp(issued + 10, 0).unwrap());
        let fetch = InMemory::keys(keys);
        OpenIdVerifier::with_clock(self.config(), fetch, clock).unwrap().verify(token).await
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        self.verify_with(&[self.signer().jwk()], token).await
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.signer().token_with(header, claims)
    }

    /// The token with one claim changed, or removed if the value is null.
    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        self.token(&self.header, &claims)
    }
}

#[tokio::test]
async fn tokens_of_seven_providers_are_accepted() {
    for vector in vectors() {
        assert!(vector.source.starts_with("https://"), "{}", vector.provider);
        let verified = vector.verify(&vector.token(&vector.header, &vector.claims)).await;
        let token = verified.unwrap_or_else(|error| panic!("{}: {error}", vector.provider));
        assert_eq!(token.subject(), vector.expected.subject);
        assert_eq!(token.issuer(), vector.config.issuer);
        let email = token.verified_email().map(|email| email.to_string());
        assert_eq!(email, vector.expected.verified_email, "{}", vector.provider);
    }
}

#[tokio::test]
async fn other_tokens_of_the_same_provider_are_refused() {
    for vector in vectors() {
        let (mut header, mut claims) = (vector.header.clone(), vector.claims.clone());
        header.as_object_mut().unwrap().extend(vector.twisted.header.clone());
        claims.as_object_mut().unwrap().extend(vector.twisted.claims.clone());
        let reason = reason(vector.verify(&vector.token(&header, &claims)).await);
        let what = format!("{}: {}", vector.provider, vector.twisted.what);
        assert!(reason.contains(&vector.twisted.reason), "{what}: {reason}");
    }
}

#[tokio::test]
async fn forged_and_stale_tokens_are_refused() {
    for vector in vectors() {
        let who = &vector.provider;
        let issued = vector.claims["iat"].as_i64().unwrap();
        let expires = vector.claims["exp"].as_i64().unwrap();
        for (name, value, expected) in [
            ("iss", json!("https://id.example.org"), "`iss`"),
            ("iss", json!(format!("{}x", vector.config.issuer)), "`iss`"),
            ("exp", json!(issued - 60), "expired"),
            ("exp", Value::Null, "`exp` is missing"),
            ("nbf", json!(expires), "not valid yet"),
            ("iat", json!(expires), "future"),
            ("iat", Value::Null, "`iat` is missing"),
            ("sub", Value::Null, "`sub`"),
            ("sub", json!("s".repeat(256)), "`sub`"),
            ("events", json!({}), "`events`"),
            ("cnf", json!({ "jkt": "x" }), "`cnf`"),
        ] {
            let reason = reason(vector.verify(&vector.with(name, value.clone())).await);
            assert!(reason.contains(expected), "{who}: {name} {value}: {reason}");
        }
        // Signed with the public key as a secret, in three forms.
        let jwk = vector.signer().jwk();
        for secret in [jwk.to_string(), jwk["n"].to_string(), jwk["x"].to_string()] {
            for algorithm in ["HS256", "HS512"] {
                let header = json!({ "alg": algorithm, "typ": "JWT", "kid": jwk["kid"] });
                let message = unsigned(&header, &vector.claims);
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
                mac.update(message.as_bytes());
                let token = format!("{message}.{}", BASE64.encode(mac.finalize().into_bytes()));
                assert_eq!(reason(vector.verify(&token).await), "`alg` is not accepted", "{who}");
            }
        }
        for algorithm in ["none", "None", ""] {
            let header = json!({ "alg": algorithm, "typ": "JWT", "kid": jwk["kid"] });
            let token = format!("{}.", unsigned(&header, &vector.claims));
            assert!(reason(vector.verify(&token).await).contains("not a signed token"), "{who}");
        }
        // A key of another issuer, under its own id and under that of this issuer.
        let other = Signer::rsa("other", RSA_B);
        let token = other.token(&vector.claims);
        assert_eq!(reason(vector.verify(&token).await), "no key has that `kid`", "{who}");
        let header = json!({ "alg": "RS256", "kid": jwk["kid"] });
        let token = other.token_with(&header, &vector.claims);
        assert!(vector.verify(&token).await.is_err(), "{who}");
        // A key that the token brings along.
        let header = json!({ "alg": "RS256", "kid": "other", "jwk": other.jwk(), "jku": "https://e.example" });
        let token = other.token_with(&header, &vector.claims);
        assert_eq!(reason(vector.verify(&token).await), "no key has that `kid`", "{who}");
        // The right key, published for encryption.
        let mut enc = jwk.clone();
        enc["use"] = json!("enc");
        let token = vector.token(&vector.header, &vector.claims);
        let verified = vector.verify_with(&[enc, other.jwk()], &token).await;
        assert_eq!(reason(verified), "no key has that `kid`", "{who}");
        // A changed payload under the signature of the true one.
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let mut claims = vector.claims.clone();
        claims["sub"] = json!("admin");
        let token = format!("{header}.{}.{signature}", BASE64.encode(claims.to_string()));
        assert_eq!(reason(vector.verify(&token).await), "the signature does not verify", "{who}");
    }
}

#[tokio::test]
async fn other_kinds_of_tokens_are_refused_by_type() {
    for vector in vectors() {
        for (typ, is_accepted) in [
            ("JWT", true),
            ("jwt", true),
            ("at+jwt", true),
            ("application/at+jwt", true),
            ("logout+jwt", false),
            ("dpop+jwt", false),
            ("secevent+jwt", false),
        ] {
            let mut header = vector.header.clone();
            header["typ"] = json!(typ);
            let verified = vector.verify(&vector.token(&header, &vector.claims)).await;
            assert_eq!(verified.is_ok(), is_accepted, "{}: {typ}", vector.provider);
        }
        let mut header = vector.header.clone();
        header["crit"] = json!(["b64"]);
        header["b64"] = json!(false);
        let reason = reason(vector.verify(&vector.token(&header, &vector.claims)).await);
        assert!(reason.contains("`crit`"), "{reason}");
    }
}

#[tokio::test]
async fn claims_that_are_not_pinned_are_not_looked_at() {
    // The control of the refusals above: the same tokens pass a configuration that does not pin the claim.
    let vector = vectors().into_iter().find(|vector| vector.provider == "Clerk").unwrap();
    let token = vector.with("azp", json!("https://evil.example"));
    assert!(reason(vector.verify(&token).await).contains("azp"));
    let config = OpenIdConfig::new(&vector.config.issuer).with_dedicated_keys("https://k.example");
    let issued = vector.claims["iat"].as_i64().unwrap();
    let clock = ManualClock::at(DateTime::from_timestamp(issued, 0).unwrap());
    let fetch = InMemory::keys(&[vector.signer().jwk()]);
    OpenIdVerifier::with_clock(config, fetch, clock).unwrap().verify(&token).await.unwrap();
}

#[test]
fn unsafe_configurations_are_refused() {
    let new = |config: OpenIdConfig| {
        OpenIdVerifier::new(config, Arc::new(InMemory(json!({})))).map(drop).unwrap_err()
    };
    let issuer = "https://id.example.org";
    let sound = || OpenIdConfig::new(issuer).accept_audience("api");
    assert!(matches!(new(OpenIdConfig::new(issuer)), OpenIdConfigError::NoAudience));
    for address in ["http://id.example.org", "http://localhost", "id.example.org", ""] {
        let config = OpenIdConfig::new(address).accept_audience("api");
        assert!(matches!(new(config), OpenIdConfigError::Address(_)), "{address}");
        let config = sound().with_jwks_uri(address);
        assert!(matches!(new(config), OpenIdConfigError::Address(_)), "{address}");
    }
    let long = OpenIdConfig::new(format!("{issuer}/{}", "x".repeat(255))).accept_audience("api");
    assert!(matches!(new(long), OpenIdConfigError::Address(_)));
    assert!(matches!(new(sound().accept_audience("")), OpenIdConfigError::Unnamed));
    assert!(matches!(new(sound().require_claim("", 1)), OpenIdConfigError::Unnamed));
    assert!(matches!(new(sound().with_email_claims("", "x")), OpenIdConfigError::Unnamed));
    let none: [SigningAlgorithm; 0] = [];
    assert!(matches!(new(sound().with_algorithms(none)), OpenIdConfigError::NoAlgorithm));
    let leeway = Duration::from_secs(31);
    assert!(matches!(new(sound().with_leeway(leeway)), OpenIdConfigError::LeewayTooLong(_)));
    let often = sound().with_refresh_interval(Duration::from_millis(999));
    assert!(matches!(new(often), OpenIdConfigError::Schedule));
    let stale = sound().with_max_staleness(Duration::from_secs(299));
    assert!(matches!(new(stale), OpenIdConfigError::Schedule));
}
