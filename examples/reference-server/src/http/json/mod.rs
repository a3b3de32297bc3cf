//! Strict reading of JSON bodies.
//!
//! First failure answers: content type or encoding (415), length (413), what is not JSON (400
//! `invalid-request`), what is JSON but not what was asked for (422 `invalid-fields`).
//!
//! [`Body`] is an argument of handlers. What is wrong with it is answered after the decision on the caller's access
//! ([`Undecided`](super::caller::Undecided)): a stranger sees 404 whatever the body.
//!
//! ```
//! use reference_server::http::caller::InOrg;
//! use reference_server::http::fields::Name;
//! use reference_server::http::json::Body;
//! use reference_server::model::ProjectsCreate;
//! use salvo::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct NewProject {
//!     name: Name,
//! }
//!
//! #[handler]
//! async fn create(_org: InOrg<ProjectsCreate>, body: Body<NewProject>) -> String {
//!     body.0.name.into_string()
//! }
//! ```

mod document;
mod shape;

use salvo::extract::{Extractible, Metadata};
use salvo::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use salvo::{Depot, Request};
use salvo_oapi::{Components, EndpointArgRegister, Operation, ToSchema};
use serde::de::DeserializeOwned;

use super::body::{self, DEFAULT_LIMIT, Received};
use super::openapi::describe::{may, takes_json};
use super::problem::ApiError;
use super::problems;

/// The body of a request, a JSON object of the shape of `T`.
///
/// `T` should say `deny_unknown_fields`; members that are missing, unknown or of a wrong type are
/// named by pointer. Where several values are wrong, all are listed.
///
/// # When it refuses
///
/// See the [module docs](self) for the order.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<'ex, T: DeserializeOwned + Send> Extractible<'ex> for Body<T> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Body");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Ok(Self(from_slice(&bytes(req).await?)?))
    }
}

impl<T: ToSchema> EndpointArgRegister for Body<T> {
    fn register(components: &mut Components, operation: &mut Operation, _: &str) {
        takes_json::<T>(components, operation);
        may(
            operation,
            &[
                &problems::INVALID_REQUEST,
                &problems::TOO_LARGE,
                &problems::UNSUPPORTED_MEDIA_TYPE,
                &problems::INVALID_FIELDS,
            ],
        );
    }
}

/// Reads the body of `req`, which has to say that it is JSON.
///
/// # Errors
///
/// The first two of the [module docs](self).
pub async fn bytes(req: &mut Request) -> Result<Received, ApiError> {
    if !is_plain_json(req.headers()) {
        return Err(ApiError::new(&problems::UNSUPPORTED_MEDIA_TYPE));
    }
    body::read(req, DEFAULT_LIMIT).await
}

/// Reads `bytes` as a JSON object of the shape of `T`.
///
/// # Errors
///
/// The others of the [module docs](self).
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
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
    use salvo::http::HeaderValue;

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
