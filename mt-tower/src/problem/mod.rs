//! Refusals as problem details (RFC 9457).
//!
//! A [`Problem`] holds only what a client may see. The cause is logged where a problem is made of an
//! error, and not carried along.
//!
//! With the feature `postgres`, errors of `mt_core::pg` become problems by `From`, so a handler of a
//! framework needs one error type around a `Problem`.
//!
//! ```
//! use bytes::Bytes;
//! use http::StatusCode;
//! use mt_tower::problem::Problem;
//!
//! let full = Problem::new(StatusCode::PAYMENT_REQUIRED, "cap-reached", "Cap of the plan reached")
//!     .with_detail("The plan allows 3 projects.")
//!     .with_member("cap", 3)
//!     .with_member("resource", "projects");
//! let answer = full.into_response::<Bytes>(None);
//! assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
//! assert_eq!(
//!     answer.body(),
//!     concat!(
//!         r#"{"type":"/problems/cap-reached","title":"Cap of the plan reached","status":402,"#,
//!         r#""detail":"The plan allows 3 projects.","code":"cap-reached","#,
//!         r#""cap":3,"resource":"projects"}"#,
//!     )
//! );
//! ```

mod field_error;
mod grpc;
mod json;
#[cfg(feature = "postgres")]
mod postgres;
mod reject;

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use mt_core::access::{AccessError, Denied};
use serde_json::Value;

pub use self::field_error::FieldError;
pub use self::grpc::GrpcStatus;
pub use self::reject::{ProblemJson, Reject};

/// The default `Retry-After` while a dependency of the service is away.
const OUTAGE_RETRY: Duration = Duration::from_secs(5);

/// A refusal or failure, before it has become a response.
///
/// It allocates only if something is added to code, status and title.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a problem does nothing until it is returned"]
pub struct Problem {
    code: &'static str,
    // INVARIANT: a client or server error.
    status: StatusCode,
    title: &'static str,
    more: Option<Box<More>>,
}

/// The optional parts of a problem.
#[derive(Clone, Debug, Default, PartialEq)]
struct More {
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, Value)>,
    headers: HeaderMap,
}

impl Problem {
    /// 402: the tenant's plan or payment does not cover the request.
    pub const BILLING_REQUIRED: Self =
        Self::new(StatusCode::PAYMENT_REQUIRED, "billing-required", "Payment required");
    /// 403: the role does not carry the permission.
    pub const FORBIDDEN: Self = Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed");
    /// 500: the server failed.
    pub const INTERNAL: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error");
    /// 404: it does not exist, or the caller may not know that it does.
    pub const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "not-found", "Not found");
    /// 403: an operator has suspended the tenant.
    pub const TENANT_SUSPENDED: Self =
        Self::new(StatusCode::FORBIDDEN, "tenant-suspended", "Suspended");
    /// 401: no credential. The response names the scheme to use, as every 401 must.
    pub const UNAUTHENTICATED: Self =
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication required");

    /// Creates a problem of the embedder's own.
    ///
    /// `code` is the last segment of `type` and never changes once published; `title` is the same
    /// for every problem of that code.
    ///
    /// # Panics
    ///
    /// If `status` is not 4xx or 5xx; in a constant, that is a compile error.
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        assert!(status.as_u16() >= 400 && status.as_u16() < 600, "a problem is 4xx or 5xx");
        Self { code, status, title, more: None }
    }

    /// 401: a credential that is unknown, expired or signed out (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        Self::unauthenticated(HeaderValue::from_static(r#"Bearer error="invalid_token""#))
    }

    /// 401 with this challenge in `WWW-Authenticate` (RFC 9110 §11.6.1).
    pub fn unauthenticated(challenge: HeaderValue) -> Self {
        Self::UNAUTHENTICATED.with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 429: the quota is used up. `retry_after` is rounded up to whole seconds, at least one.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests")
            .with_retry_after(retry_after)
    }

    /// 503: a dependency of the service is away. `Retry-After` is 5 seconds;
    /// [`with_retry_after`](Self::with_retry_after) changes it.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable")
            .with_retry_after(OUTAGE_RETRY)
    }

    /// 500 for `error`, which is logged here, with its cause.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(cause = error.source(), "{error}");
        Self::INTERNAL
    }

    /// Replaces code and title, for an embedder with other words: a product that calls its tenants orgs
    /// turns `tenant-suspended` into `org-suspended`. Status, detail, members and headers stay.
    pub fn with_type(mut self, code: &'static str, title: &'static str) -> Self {
        (self.code, self.title) = (code, title);
        self
    }

    /// Explains this occurrence to the client.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.more_mut().detail = Some(detail.into());
        self
    }

    /// Lists the fields that are not valid, as `errors`.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.more_mut().errors = errors;
        self
    }

    /// Adds an extension member (RFC 9457 §3.2), such as `resource` or `cap`.
    ///
    /// # Panics
    ///
    /// If `name` is one of the members that any problem may have.
    pub fn with_member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        assert!(!json::STANDARD.contains(&name), "`{name}` is taken");
        self.more_mut().members.push((name, value.into()));
        self
    }

    /// Adds a header to the response, beside others of its name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.more_mut().headers.append(name, value);
        self
    }

    /// Sets `Retry-After`, rounded up to whole seconds, at least one.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        let seconds = HeaderValue::from(whole_seconds(wait).max(1));
        self.more_mut().headers.insert(RETRY_AFTER, seconds);
        self
    }

    /// Returns the last segment of `type`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Returns the explanation of this occurrence.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.more.as_ref()?.detail.as_deref()
    }

    /// Returns the fields that are not valid.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        self.more.as_ref().map_or(&[], |more| &more.errors)
    }

    /// Returns the headers of the response.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.more.iter().flat_map(|more| more.headers.iter())
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// Rounded up, so that a client that waits this long does not come a moment too early.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => Self::FORBIDDEN,
            Denied::NotAMember => Self::NOT_FOUND,
            Denied::PaymentRequired => Self::BILLING_REQUIRED,
            Denied::Suspended => Self::TENANT_SUSPENDED,
            // A reason newer than this crate still refuses.
            _ => Self::INTERNAL,
        }
    }
}

impl From<&AccessError> for Problem {
    fn from(error: &AccessError) -> Self {
        log(error);
        match error {
            AccessError::NotAMember => Self::NOT_FOUND,
            AccessError::SignedOut => Self::invalid_token(),
            AccessError::Unavailable(_) => Self::unavailable(),
            // `Internal`, and reasons newer than this crate.
            _ => Self::INTERNAL,
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        Self::from(&error)
    }
}

fn log(error: &AccessError) {
    let cause = error.source();
    match error {
        AccessError::NotAMember | AccessError::SignedOut => tracing::debug!(%error),
        AccessError::Unavailable(_) => tracing::warn!(cause, "{error}"),
        _ => tracing::error!(cause, "{error}"),
    }
}
