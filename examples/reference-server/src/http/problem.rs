//! The one way in which the server says no: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use salvo::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use salvo::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use salvo::http::{ResBody, StatusCode};
use salvo::{Depot, Request, Response, Writer, async_trait};
use salvo_oapi::{Components, EndpointOutRegister, Operation};
use serde::Serialize;
use serde_json::{Map, Value};

use super::openapi::describe::may;
use super::problems::{self, Kind};
use super::request_id::RequestId;

/// The content type of every problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A refusal or failure, on its way to becoming an answer.
///
/// It holds only what the client may see. The cause of a failure is logged where it is known; the
/// two meet in the request id.
///
/// ```
/// use reference_server::http::problem::ApiError;
/// use reference_server::http::problems;
///
/// let full = ApiError::new(&problems::CAP_REACHED)
///     .detail("the plan allows 3 projects")
///     .member("resource", "projects")
///     .member("cap", 3);
/// assert_eq!(full.kind().status.as_u16(), 402);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a refusal does nothing until it is returned"]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: &'static Kind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field or query parameter.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FieldError {
    /// A JSON Pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// What the field takes, or what is wrong with its value.
    pub detail: String,
}

impl FieldError {
    /// Says `detail` of what `pointer` points at.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl ApiError {
    /// A problem of `kind` with nothing more to say, and the headers that its status asks for:
    /// `WWW-Authenticate` with 401, `Retry-After` with 503.
    pub fn new(kind: &'static Kind) -> Self {
        let headers = match kind.status {
            StatusCode::UNAUTHORIZED => {
                vec![(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]
            }
            StatusCode::SERVICE_UNAVAILABLE => vec![(RETRY_AFTER, HeaderValue::from_static("1"))],
            _ => Vec::new(),
        };
        let (detail, errors, members) = (None, Vec::new(), Map::new());
        Self(Box::new(Inner { kind, detail, errors, members, headers }))
    }

    /// A request that cannot be read, and why.
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&problems::INVALID_REQUEST).detail(detail)
    }

    /// A query parameter with a value that it does not take.
    pub fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::invalid_request(format!("`{name}` {detail}"))
            .errors(vec![FieldError::new(format!("?{name}"), detail)])
    }

    /// Fields that were read but are not what is asked for.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self::new(&problems::INVALID_FIELDS).errors(errors)
    }

    /// Nothing there, or nothing that the caller may know of. Never takes a detail: absent and
    /// hidden have the same bytes.
    pub fn not_found() -> Self {
        Self::new(&problems::NOT_FOUND)
    }

    /// Says more about this occurrence. Lower case, no full stop, nothing secret.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Lists what is wrong, field by field.
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds an extension member (RFC 9457 §3.2).
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a header of the answer, in place of one of that name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.retain(|(held, _)| *held != name);
        self.0.headers.push((name, value));
        self
    }

    /// The kind of problem.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.0.kind
    }

    /// What is wrong, field by field.
    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Puts the problem in place of whatever `res` holds. Headers that describe the old body go.
    pub fn write_to(self, res: &mut Response, request_id: Option<&RequestId>) {
        let Inner { kind, detail, errors, members, headers } = *self.0;
        let document = Document {
            r#type: kind.uri(),
            title: kind.title,
            status: kind.status.as_u16(),
            detail: detail.as_deref(),
            code: kind.code,
            request_id: request_id.map(RequestId::as_str),
            errors: &errors,
            members: &members,
        };
        let json = serde_json::to_vec(&document).expect("text, numbers and JSON values serialize");
        res.status_code(kind.status);
        res.extensions.insert(kind);
        let answer = res.headers_mut();
        answer.remove(CONTENT_ENCODING);
        answer.remove(CONTENT_LENGTH);
        answer.insert(CONTENT_TYPE, PROBLEM_JSON);
        answer.extend(headers);
        res.replace_body(ResBody::Once(json.into()));
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

#[async_trait]
impl Writer for ApiError {
    async fn write(self, req: &mut Request, _depot: &mut Depot, res: &mut Response) {
        self.write_to(res, req.extensions().get());
    }
}

/// What a handler that can fail may always say. What else it says comes with its arguments, or is named.
impl EndpointOutRegister for ApiError {
    fn register(_: &mut Components, operation: &mut Operation) {
        may(operation, &[&problems::INTERNAL, &problems::UNAVAILABLE]);
    }
}
