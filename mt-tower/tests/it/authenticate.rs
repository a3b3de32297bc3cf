//! Credentials as they come over the wire.

use http::{HeaderValue, Request};
use http_body_util::Full;
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;

use crate::support::{Counter, Outcome, request, send};

/// Knows one token, and counts how often it is asked.
#[derive(Clone, Default)]
struct OneToken(Counter);

const ADA: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";

impl Authenticator for OneToken {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        self.0.add();
        match credential {
            "good" => Ok(Principal::in_generation(PrincipalId::parse(ADA).unwrap(), 3)),
            "outage" => Err(AuthError::Unavailable("connection refused".into())),
            _ => Err(AuthError::Invalid("unknown".into())),
        }
    }
}

async fn with(layer: &GuardLayer<Authenticate<OneToken>>, values: &[&[u8]]) -> Outcome {
    let mut request = Request::get("/?access_token=good&token=good").body(Full::default()).unwrap();
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append("authorization", value);
    }
    send(layer, request).await
}

fn required() -> GuardLayer<Authenticate<OneToken>> {
    GuardLayer::new(Authenticate::new(OneToken::default()))
}

#[tokio::test]
async fn a_good_token_leaves_a_principal() {
    for value in ["Bearer good", "bearer good", "BEARER good", "Bearer  good", "Bearer good "] {
        let outcome = with(&required(), &[value.as_bytes()]).await;
        let principal: Principal = outcome.left();
        assert_eq!((principal.id().to_string().as_str(), principal.generation()), (ADA, Some(3)));
    }
}

#[tokio::test]
async fn no_credential_is_told_apart_from_a_bad_one() {
    let (bare, bad) = (["Bearer"], [r#"Bearer error="invalid_token""#]);
    let cases: [(&[&[u8]], [&str; 1]); 12] = [
        (&[], bare),
        (&[b"Basic Z29vZA=="], bare),
        (&[b"good"], bare),
        (&[b"Bearergood"], bare),
        (&[b""], bare),
        (&[b"Bearer"], bad),
        (&[b"Bearer "], bad),
        (&[b"Bearer wrong"], bad),
        (&[b"Bearer good good"], bad),
        (&[b"Bearer good,Bearer good"], bad),
        (&[b"Bearer good\xff"], bad),
        (&[b"Bearer good", b"Bearer good"], bad),
    ];
    for (values, challenge) in cases {
        let outcome = with(&required(), values).await;
        assert_eq!(outcome.refused(), "unauthenticated", "{values:?}");
        assert_eq!(outcome.header("www-authenticate"), challenge, "{values:?}");
    }
}

#[tokio::test]
async fn an_outage_is_said_to_be_one() {
    let outcome = with(&required(), &[b"Bearer outage"]).await;
    assert_eq!((outcome.refused(), outcome.status()), ("unavailable", 503));
    assert_eq!(outcome.header("retry-after"), ["5"]);
    assert!(!String::from_utf8_lossy(outcome.answer.body()).contains("connection"));
}

#[tokio::test]
async fn optional_takes_nobody_and_no_bad_credential() {
    let layer = GuardLayer::new(Authenticate::optional(OneToken::default()));
    let nobody = with(&layer, &[]).await;
    assert!(nobody.reached.expect("passes").get::<Principal>().is_none());
    let _: Principal = with(&layer, &[b"Bearer good"]).await.left();
    assert_eq!(with(&layer, &[b"Bearer wrong"]).await.refused(), "unauthenticated");
    assert_eq!(with(&layer, &[b"Basic Z29vZA=="]).await.refused(), "unauthenticated");
}

#[tokio::test]
async fn malformed_credentials_do_not_reach_the_authenticator() {
    let asked = Counter::default();
    let layer = GuardLayer::new(Authenticate::new(OneToken(asked.clone())));
    for value in ["Bearer", "Bearer a b", "Basic good"] {
        with(&layer, &[value.as_bytes()]).await.refused();
    }
    assert_eq!(asked.value(), 0);
    let _ = send(&layer, request("/", |_| {})).await;
    with(&layer, &[b"Bearer wrong"]).await.refused();
    assert_eq!(asked.value(), 1);
}
