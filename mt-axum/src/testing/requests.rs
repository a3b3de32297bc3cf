//! Requests to an application under test.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_core::testing::isolation::{TestRequest, TestResponse};
use tower::ServiceExt as _;

/// A bearer token is the principal's id: tests are about what callers may do, not about who they are.
pub(super) struct BearerIsPrincipal;

impl Authenticator for BearerIsPrincipal {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        let id = credential.parse().map_err(|_| AuthError::Invalid("not an id".to_owned()))?;
        Ok(Principal::new(PrincipalId::from_uuid(id)))
    }
}

/// Sends a request of the harness.
pub(super) async fn send(app: &Router, call: TestRequest) -> TestResponse {
    let mut request = Request::builder().method(call.method.as_str()).uri(call.path);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(call.body.unwrap_or_default()));
    let request = request.expect("the harness sends valid requests");
    let Ok(response) = app.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    TestResponse {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(header).collect(),
        body: body.collect().await.expect("a body that ends").to_bytes().to_vec(),
    }
}
