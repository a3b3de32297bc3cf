//! Credentials in headers and cookies.

use http::{HeaderValue, Request};
use http_body_util::Full;
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_tower::authenticate::{Authenticate, CredentialSource, KeyHeader, SessionCookie};
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
async fn valid_token_yields_a_principal() {
    for value in ["Bearer good", "bearer good", "BEARER good", "Bearer  good", "Bearer good "] {
        let outcome = with(&required(), &[value.as_bytes()]).await;
        let principal: Principal = outcome.left();
        assert_eq!((principal.id().to_string().as_str(), principal.generation()), (ADA, Some(3)));
    }
}

#[tokio::test]
async fn missing_and_invalid_credentials_get_different_answers() {
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
async fn outage_of_the_authenticator_answers_503() {
    let outcome = with(&required(), &[b"Bearer outage"]).await;
    assert_eq!((outcome.refused(), outcome.status()), ("unavailable", 503));
    assert_eq!(outcome.header("retry-after"), ["5"]);
    assert!(!String::from_utf8_lossy(outcome.answer.body()).contains("connection"));
}

#[tokio::test]
async fn optional_accepts_a_missing_and_refuses_an_invalid_credential() {
    let layer = GuardLayer::new(Authenticate::optional(OneToken::default()));
    let anonymous = with(&layer, &[]).await;
    assert!(anonymous.reached.expect("passes").get::<Principal>().is_none());
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

/// A request with these headers, to a layer that reads the credential from `source`.
async fn from<S: CredentialSource>(source: S, headers: &[(&str, &str)]) -> Outcome {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let layer = GuardLayer::new(Authenticate::new(OneToken::default()).from(source));
    send(&layer, request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn api_key_is_the_whole_value_of_one_header() {
    let key = || KeyHeader::new("x-api-key");
    let _: Principal = from(key(), &[("x-api-key", "good")]).await.left();
    let _: Principal = from(key(), &[("X-API-Key", " good ")]).await.left();
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("authorization", "Bearer good")],
        &[("x-api-key", "")],
        &[("x-api-key", "wrong")],
        &[("x-api-key", "Bearer good")],
        &[("x-api-key", "good"), ("x-api-key", "good")],
    ];
    for headers in cases {
        let outcome = from(key(), headers).await;
        assert_eq!(outcome.refused(), "unauthenticated", "{headers:?}");
        assert_eq!(outcome.header("www-authenticate"), [r#"ApiKey header="x-api-key""#]);
    }
}

#[tokio::test]
async fn a_session_is_the_value_of_one_cookie() {
    let session = || SessionCookie::new("__Host-session");
    let good: [&[(&str, &str)]; 3] = [
        &[("cookie", "__Host-session=good")],
        &[("cookie", "a=b; __Host-session=good; session=wrong")],
        &[("cookie", "a=b"), ("cookie", "__Host-session=good")],
    ];
    for headers in good {
        let _: Principal = from(session(), headers).await.left();
    }
    let bad: [&[(&str, &str)]; 7] = [
        &[],
        &[("cookie", "session=good")],
        &[("cookie", "__Host-Session=good")],
        &[("cookie", "__Host-session=")],
        &[("cookie", "__Host-session=wrong")],
        &[("cookie", "__Host-session=good; __Host-session=good")],
        &[("cookie", "__Host-session=good"), ("cookie", "__Host-session=wrong")],
    ];
    for headers in bad {
        let outcome = from(session(), headers).await;
        assert_eq!(outcome.refused(), "unauthenticated", "{headers:?}");
        let challenge = r#"Cookie cookie-name="__Host-session""#;
        assert_eq!(outcome.header("www-authenticate"), [challenge], "{headers:?}");
    }
}

#[tokio::test]
async fn one_of_two_credential_kinds_is_enough_and_both_are_refused() {
    let token_or_key = GuardLayer::new((
        Authenticate::optional(OneToken::default()),
        Authenticate::new(OneToken::default()).from(KeyHeader::new("x-api-key")),
    ));
    let with = async |headers: &[(&str, &str)]| {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&token_or_key, request.body(Full::default()).unwrap()).await
    };
    let (token, key) = (("authorization", "Bearer good"), ("x-api-key", "good"));
    let _: Principal = with(&[token]).await.left();
    let _: Principal = with(&[key]).await.left();
    assert_eq!(with(&[]).await.refused(), "unauthenticated");
    assert_eq!(with(&[token, key]).await.refused(), "unauthenticated");
    assert_eq!(with(&[token, ("x-api-key", "wrong")]).await.refused(), "unauthenticated");
    assert_eq!(with(&[("authorization", "Bearer wrong"), key]).await.refused(), "unauthenticated");
    assert_eq!(
        with(&[("authorization", "Basic Z29vZA=="), key]).await.refused(),
        "unauthenticated"
    );
}

#[test]
#[should_panic(expected = "a cookie's name")]
fn a_cookies_name_that_would_need_quoting_is_refused() {
    let _ = SessionCookie::new("a=b");
}
