//! Refusals as problem details (RFC 9457).
//!
//! A [`Problem`] holds only what a client may see. The cause of a refusal is logged where it is
//! known, and not carried along.
//!
//! ```
//! use bytes::Bytes;
//! use http::StatusCode;
//! use mt_tower::problem::Problem;
//!
//! let full = Problem::new(StatusCode::PAYMENT_REQUIRED, "cap-reached", "Cap of the plan reached")
//!     .with_detail("The plan allows 3 projects.")
//!     .with_member("resource", "projects")
//!     .with_member("cap", 3);
//! let answer = full.into_response::<Bytes>(None);
//! assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
//! assert_eq!(
//!     answer.body(),
//!     concat!(
//!         r#"{"type":"/problems/cap-reached","title":"Cap of the plan reached","status":402,"#,
//!         r#""detail":"The plan allows 3 projects.","code":"cap-reached","#,
//!         r#""resource":"projects","cap":3}"#,
//!     )
//! );
//! ```

mod grpc;
mod json;
mod reject;

use std::borrow::Cow;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use mt_core::access::{AccessError, Denied};
use serde_json::Value;

pub use self::grpc::GrpcStatus;
pub use self::reject::{ProblemJson, Reject, RequestId};

/// How long a client is asked to wait when something this service depends on is away.
const OUTAGE_RETRY: Duration = Duration::from_secs(5);

/// A refusal, before it has become a response.
///
/// It allocates only when something is added to code, status and title.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    code: &'static str,
    // INVARIANT: a client or server error.
    status: StatusCode,
    title: &'static str,
    more: Option<Box<More>>,
}

/// What most problems do without.
#[derive(Clone, Debug, Default, PartialEq)]
struct More {
    detail: Option<Cow<'static, str>>,
    members: Vec<(&'static str, Value)>,
    headers: HeaderMap,
}

impl Problem {
    /// 402: the tenant's plan or payment does not cover the request.
    pub const BILLING_REQUIRED: Self =
        Self::new(StatusCode::PAYMENT_REQUIRED, "billing-required", "Payment required");
    /// 403: the role does not carry the permission.
    pub const FORBIDDEN: Self = Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed");
    /// 500: something broke on this side.
    pub const INTERNAL: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error");
    /// 404: nothing there, or nothing that this caller may know of.
    pub const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "not-found", "Not found");
    /// 403: an operator has suspended the tenant.
    pub const TENANT_SUSPENDED: Self =
        Self::new(StatusCode::FORBIDDEN, "tenant-suspended", "Suspended");
    /// 401: no credential. The answer names the scheme to use, as every 401 must.
    pub const UNAUTHENTICATED: Self =
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication required");

    /// A problem of the embedder's own.
    ///
    /// `code` is the last segment of `type` and never changes once published; `title` is the same
    /// for every problem of that code.
    ///
    /// # Panics
    ///
    /// When `status` is not 4xx or 5xx; in a constant, that is an error of compilation.
    #[must_use]
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        assert!(status.as_u16() >= 400 && status.as_u16() < 600, "a problem is 4xx or 5xx");
        Self { code, status, title, more: None }
    }

    /// 401: a credential that is nobody's, or nobody's any more (RFC 6750 §3.1).
    #[must_use]
    pub fn invalid_token() -> Self {
        Self::unauthenticated(HeaderValue::from_static(r#"Bearer error="invalid_token""#))
    }

    /// 401 with this challenge in `WWW-Authenticate` (RFC 9110 §11.6.1).
    #[must_use]
    pub fn unauthenticated(challenge: HeaderValue) -> Self {
        Self::UNAUTHENTICATED.with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 429: more than the quota. `retry_after` is rounded up to whole seconds, at least one.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests")
            .with_retry_after(retry_after)
    }

    /// 503: something this service depends on is away.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable")
            .with_retry_after(OUTAGE_RETRY)
    }

    /// Gives the problem another code, for an embedder whose vocabulary differs.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Says what is particular about this occurrence. The client reads it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.more_mut().detail = Some(detail.into());
        self
    }

    /// Adds a member of the embedder's own, such as `resource`, `cap` or `errors`.
    ///
    /// # Panics
    ///
    /// When `name` is one of the members that every problem has.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        assert!(!json::STANDARD.contains(&name), "`{name}` is taken");
        self.more_mut().members.push((name, value.into()));
        self
    }

    /// Adds a header to the answer, beside others of its name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.more_mut().headers.append(name, value);
        self
    }

    fn with_retry_after(self, wait: Duration) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait).max(1)))
    }

    /// The last segment of `type`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// What is particular about this occurrence.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.more.as_ref()?.detail.as_deref()
    }

    /// The headers that go with the answer.
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
