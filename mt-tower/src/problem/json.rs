//! Problems as bytes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{FieldError, Problem};
use crate::request_id::RequestId;

/// The members that any problem may have.
pub(super) const STANDARD: [&str; 8] =
    ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"];

impl Problem {
    /// Renders the problem as `application/problem+json` and leaves it in the response's
    /// extensions, where layers outside can find the reason.
    #[must_use]
    pub fn into_response<B: From<Bytes>>(self, request_id: Option<&RequestId>) -> Response<B> {
        let document = Document { problem: &self, request_id };
        let json = serde_json::to_vec(&document).expect("text, numbers and JSON values serialize");
        let mut response = Response::new(B::from(Bytes::from(json)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers() {
            headers.append(name, value.clone());
        }
        if self.status == StatusCode::UNAUTHORIZED && !headers.contains_key(WWW_AUTHENTICATE) {
            // A 401 without a challenge is not one (RFC 9110 §15.5.2).
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

struct Document<'a> {
    problem: &'a Problem,
    request_id: Option<&'a RequestId>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { code, status, title, ref more } = *self.problem;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("/problems/{code}"))?;
        map.serialize_entry("title", title)?;
        map.serialize_entry("status", &status.as_u16())?;
        if let Some(detail) = more.as_ref().and_then(|more| more.detail.as_ref()) {
            map.serialize_entry("detail", detail)?;
        }
        map.serialize_entry("code", code)?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id.as_str())?;
        }
        if !self.problem.errors().is_empty() {
            let fields = self.problem.errors().iter();
            let fields = fields.map(|FieldError { pointer, detail }| Field { pointer, detail });
            map.serialize_entry("errors", &fields.collect::<Vec<_>>())?;
        }
        for (name, value) in more.iter().flat_map(|more| &more.members) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An item of `errors`.
#[derive(serde::Serialize)]
struct Field<'a> {
    pointer: &'a str,
    detail: &'a str,
}
