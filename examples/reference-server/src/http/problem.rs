//! The one error type of handlers: a [`Problem`] of `mt-tower`, as an answer of salvo's.

use std::borrow::Cow;

use bytes::Bytes;
use mt_tower::problem::{FieldError, Problem};
use mt_tower::request_id::RequestId;
use salvo::http::ResBody;
use salvo::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use salvo::{Depot, Request, Response, Writer, async_trait};
use salvo_oapi::{Components, EndpointOutRegister, Operation};

use super::openapi::describe::may;
use super::problems::{self, Kind};

/// A problem in the words of this server's [catalogue](problems).
///
/// ```
/// use reference_server::http::problem::ApiError;
/// use reference_server::http::problems;
///
/// let problem = problems::CONFLICT.problem().with_detail("the invite was accepted");
/// assert_eq!(ApiError::from(problem).problem().status(), 409);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a refusal does nothing until it is returned"]
pub struct ApiError {
    problem: Problem,
    is_decision: bool,
}

/// Marks a refusal that the decision on the caller's access gave. [`ApiError::write_to`] leaves it in the response's
/// extensions.
#[derive(Clone, Copy, Debug)]
pub struct Decided;

impl ApiError {
    /// Creates a problem of `kind` with nothing more to say.
    pub fn new(kind: &'static Kind) -> Self {
        Self::of(kind.problem())
    }

    /// A request that cannot be read, and why.
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(problems::INVALID_REQUEST.problem().with_detail(detail))
    }

    /// A query parameter with a value that it does not take.
    pub fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let problem = problems::INVALID_REQUEST.problem().with_detail(format!("`{name}` {detail}"));
        Self::of(problem.with_errors(vec![FieldError::new(format!("?{name}"), detail)]))
    }

    /// A body that is JSON and has fields that are not valid.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self::of(problems::INVALID_FIELDS.problem().with_errors(errors))
    }

    /// It does not exist, or the caller may not know that it does. It never has a detail: absent and
    /// hidden have the same bytes.
    pub fn not_found() -> Self {
        Self::new(&problems::NOT_FOUND)
    }

    /// Returns the problem.
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Returns the problem by value.
    pub(crate) fn into_problem(self) -> Problem {
        self.problem
    }

    /// Says that the decision on the caller's access gave this refusal.
    pub(crate) fn by_decision(self) -> Self {
        Self { is_decision: true, ..self }
    }

    const fn of(problem: Problem) -> Self {
        Self { problem, is_decision: false }
    }

    /// Replaces the content of `res` with the problem. Headers that describe the old body are removed.
    pub fn write_to(self, res: &mut Response, request_id: Option<&RequestId>) {
        let (parts, body) = self.problem.into_response::<Bytes>(request_id).into_parts();
        res.status_code(parts.status);
        res.extensions.extend(parts.extensions);
        if self.is_decision {
            res.extensions.insert(Decided);
        }
        let headers = res.headers_mut();
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        headers.extend(parts.headers);
        res.replace_body(ResBody::Once(body));
    }
}

impl From<Problem> for ApiError {
    /// Puts a problem of the library's into this server's words: a tenant is an org here.
    fn from(problem: Problem) -> Self {
        let code = in_our_words(problem.code());
        match Kind::find(code) {
            Some(kind) => Self::of(problem.with_type(kind.code, kind.title)),
            None => {
                tracing::error!(code, "a problem is not in the catalogue");
                Self::new(&problems::INTERNAL)
            }
        }
    }
}

/// Returns the server's code for a code of the library.
pub(crate) fn in_our_words(code: &str) -> &str {
    match code {
        "tenant-suspended" => problems::ORG_SUSPENDED.code,
        code => code,
    }
}

#[async_trait]
impl Writer for ApiError {
    async fn write(self, req: &mut Request, _depot: &mut Depot, res: &mut Response) {
        self.write_to(res, req.extensions().get());
    }
}

/// The problems that any handler may answer with. Its arguments and its description name the others.
impl EndpointOutRegister for ApiError {
    fn register(_: &mut Components, operation: &mut Operation) {
        may(operation, &[&problems::INTERNAL, &problems::UNAVAILABLE]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_library_keeps_its_headers_and_gets_our_words() {
        let error = ApiError::from(Problem::invalid_token());
        assert_eq!(error.problem().title(), problems::UNAUTHENTICATED.title);
        assert_eq!(error.problem().headers().count(), 1);
        let error = ApiError::from(Problem::TENANT_SUSPENDED);
        assert_eq!(error.problem().code(), "org-suspended");
    }

    #[test]
    fn a_problem_that_clients_were_not_promised_is_a_failure() {
        let unknown = Problem::new(http::StatusCode::CONFLICT, "no-such-code", "Unknown");
        assert_eq!(ApiError::from(unknown).problem().code(), "internal");
    }
}
