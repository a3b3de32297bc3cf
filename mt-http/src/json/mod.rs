//! Strict reading of JSON bodies.
//!
//! The first failure answers: content type or encoding (415), length (413), text that is not JSON (400
//! `invalid-request`), JSON of another shape (422 `invalid-fields`).
//!
//! ```
//! use http::HeaderMap;
//! use mt_http::json;
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct NewProject {
//!     name: String,
//! }
//!
//! assert_eq!(json::from_slice::<NewProject>(br#"{"name":"Moon landing"}"#).unwrap().name, "Moon landing");
//! let problem = json::from_slice::<NewProject>(br#"{"nmae":1}"#).unwrap_err();
//! assert_eq!(problem.code(), "invalid-fields");
//! assert_eq!(problem.errors().len(), 2);
//! ```

mod document;
mod shape;

use bytes::Buf;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use mt_tower::problem::Problem;
use serde::de::DeserializeOwned;

use crate::body::{self, BodyBudget, DEFAULT_LIMIT, Received};
use crate::problems::unsupported_media_type;

/// Reads a body that has to say that it is JSON, and has at most [`DEFAULT_LIMIT`] bytes.
///
/// # Errors
///
/// The first two of the [module docs](self), and those of [`body::read`].
pub async fn read<B>(headers: &HeaderMap, body: B, budget: &BodyBudget) -> Result<Received, Problem>
where
    B: http_body::Body<Data: Buf>,
{
    if !is_plain_json(headers) {
        return Err(unsupported_media_type());
    }
    body::read(headers, body, budget, DEFAULT_LIMIT).await
}

/// Reads `bytes` as a JSON object of the shape of `T`, which should say `deny_unknown_fields`. Members that are missing,
/// unknown or of a wrong type are named by pointer; where several values are wrong, all are listed.
///
/// # Errors
///
/// The others of the [module docs](self).
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    shape::fit(document::parse(bytes)?)
}

/// One `Content-Type` of `application/json`, in UTF-8 if it says so, and no `Content-Encoding`.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(content_type) = content_type.to_str() else {
        return false;
    };
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(is_utf8_charset)
        && !headers.contains_key(CONTENT_ENCODING)
}

fn is_utf8_charset(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.is_empty();
    };
    name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_plain_json_is_taken() {
        let is_taken = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            is_plain_json(&headers)
        };
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert!(is_taken(content_type), "{content_type}");
        }
        for content_type in [
            "",
            "text/plain",
            "application/jsonp",
            "application/problem+json",
            "application/json; charset=latin1",
            "application/json; charset",
            "application/json, text/plain",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_taken(content_type), "{content_type}");
        }
    }

    #[test]
    fn neither_two_types_nor_an_encoding() {
        let mut headers = HeaderMap::new();
        assert!(!is_plain_json(&headers));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(is_plain_json(&headers));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(!is_plain_json(&headers));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        assert!(!is_plain_json(&headers));
    }
}
