//! Problems as gRPC statuses.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Extensions, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Problem, Reject};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Read by clients with a retry policy (gRFC A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const CODE: HeaderName = HeaderName::from_static("problem-code");

/// A [`Reject`] for gRPC: a *Trailers-Only* answer, HTTP 200 with the status in the headers
/// ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
///
/// | problem | status |
/// | --- | --- |
/// | 400, 413, 415, 422 | `INVALID_ARGUMENT` |
/// | 401 | `UNAUTHENTICATED` |
/// | 402, 412 | `FAILED_PRECONDITION` |
/// | 403 | `PERMISSION_DENIED` |
/// | 404 | `NOT_FOUND` |
/// | 409 | `ABORTED` |
/// | 429 | `RESOURCE_EXHAUSTED` |
/// | 501 | `UNIMPLEMENTED` |
/// | 503 | `UNAVAILABLE` |
/// | 504 | `DEADLINE_EXCEEDED` |
/// | any other | `INTERNAL` |
///
/// The message is the problem's detail, or else its title. The code goes along as `problem-code`, its
/// headers as they are, and `Retry-After` also as `grpc-retry-pushback-ms`.
///
/// ```
/// use http::Extensions;
/// use mt_tower::problem::{GrpcStatus, Problem, Reject};
///
/// let answer: http::Response<()> = GrpcStatus.reject(&Problem::FORBIDDEN, &Extensions::new());
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.headers()["grpc-status"], "7");
/// assert_eq!(answer.headers()["grpc-message"], "Not allowed");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcStatus;

impl<B: Default> Reject<B> for GrpcStatus {
    fn reject(&self, problem: &Problem, _: &Extensions) -> Response<B> {
        let mut answer = Response::new(B::default());
        let headers = answer.headers_mut();
        for (name, value) in problem.headers() {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(status(problem)));
        let message = problem.detail().unwrap_or(problem.title());
        headers.insert(GRPC_MESSAGE, encoded(message));
        headers.insert(CODE, HeaderValue::from_static(problem.code()));
        let wait =
            headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse::<u32>().ok());
        if let Some(seconds) = wait {
            headers.insert(PUSHBACK, HeaderValue::from(u64::from(seconds) * 1000));
        }
        answer
    }
}

/// The number of the status (gRPC, `doc/statuscodes.md`).
fn status(problem: &Problem) -> u16 {
    match problem.status() {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => 3,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::NOT_FOUND => 5,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::PAYMENT_REQUIRED | StatusCode::PRECONDITION_FAILED => 9,
        StatusCode::CONFLICT => 10,
        StatusCode::NOT_IMPLEMENTED => 12,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        _ => 13,
    }
}

/// What `grpc-message` encodes: everything but printable ASCII, and the percent sign.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

fn encoded(message: &str) -> HeaderValue {
    let text = utf8_percent_encode(message, ENCODED).to_string();
    HeaderValue::try_from(text).expect("printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(problem: &Problem) -> Response<()> {
        GrpcStatus.reject(problem, &Extensions::new())
    }

    #[test]
    fn every_problem_of_ours_has_its_status() {
        for (problem, expected) in [
            (Problem::UNAUTHENTICATED, "16"),
            (Problem::BILLING_REQUIRED, "9"),
            (Problem::FORBIDDEN, "7"),
            (Problem::TENANT_SUSPENDED, "7"),
            (Problem::NOT_FOUND, "5"),
            (Problem::INTERNAL, "13"),
            (Problem::unavailable(), "14"),
        ] {
            let answer = rejected(&problem);
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["grpc-status"], expected, "{}", problem.code());
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            assert_eq!(answer.headers()["problem-code"], problem.code());
        }
    }

    #[test]
    fn a_client_learns_when_to_come_again() {
        let answer = rejected(&Problem::rate_limited(std::time::Duration::from_secs(7)));
        assert_eq!(answer.headers()["grpc-status"], "8");
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.headers()["grpc-retry-pushback-ms"], "7000");
    }

    #[test]
    fn a_message_is_encoded() {
        let problem = Problem::FORBIDDEN.with_detail("100 % für\nuns");
        let answer = rejected(&problem);
        assert_eq!(answer.headers()["grpc-message"], "100 %25 f%C3%BCr%0Auns");
    }
}
