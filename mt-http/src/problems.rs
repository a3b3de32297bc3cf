//! Problems of requests that cannot be read.

use std::borrow::Cow;

use http::StatusCode;
use mt_tower::problem::{FieldError, Problem};

/// 400: the request cannot be read, and why.
pub(crate) fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Problem {
    let title = "The request cannot be read";
    Problem::new(StatusCode::BAD_REQUEST, "invalid-request", title).with_detail(detail)
}

/// 400: a query parameter has a value that it does not take.
pub(crate) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    invalid_request(format!("`{name}` {detail}"))
        .with_errors(vec![FieldError::new(format!("?{name}"), detail)])
}

/// 422: the body is JSON and has fields that are not valid.
pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Problem {
    let title = "Some fields are not valid";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", title).with_errors(errors)
}

/// 412: the target has changed since the client read it.
pub(crate) fn precondition_failed() -> Problem {
    let title = "It has changed since it was read";
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", title)
}

/// 413: the body is longer than the address takes.
pub(crate) fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
}

/// 431: the head has too many fields or bytes.
pub(crate) fn headers_too_large() -> Problem {
    let title = "The request's head is too large";
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", title)
}

/// 415: the body is not JSON in UTF-8, or is compressed.
pub(crate) fn unsupported_media_type() -> Problem {
    let title = "Not a supported content type";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", title)
}

/// 409: the target is in a state that does not allow this.
pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Problem {
    let title = "Not possible in the present state";
    Problem::new(StatusCode::CONFLICT, "conflict", title).with_detail(detail)
}
