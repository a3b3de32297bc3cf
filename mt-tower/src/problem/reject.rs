//! From a problem to a response, in the shape that an embedder wants.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Response};

use super::Problem;

/// Turns a [`Problem`] into the response that a refused request is answered with.
///
/// Implemented for closures, so an embedder with an error shape or words of its own passes a
/// function. The extensions are those of the request: a [`RequestId`] is found there, or whatever
/// else the answer depends on.
///
/// ```
/// use bytes::Bytes;
/// use http::{Extensions, Response};
/// use mt_tower::problem::{Problem, Reject, RequestId};
///
/// // This product calls its tenants orgs.
/// let in_our_words = |problem: &Problem, request: &Extensions| -> Response<Bytes> {
///     let problem = match problem.code() {
///         "tenant-suspended" => problem.clone().with_code("org-suspended"),
///         _ => problem.clone(),
///     };
///     problem.into_response(request.get::<RequestId>())
/// };
///
/// let answer = in_our_words.reject(&Problem::TENANT_SUSPENDED, &Extensions::new());
/// assert!(answer.body().starts_with(br#"{"type":"/problems/org-suspended""#));
/// ```
pub trait Reject<B>: Send + Sync + 'static {
    /// Builds the response. What calls this leaves the problem in the response's extensions,
    /// unless one is there already.
    fn reject(&self, problem: &Problem, request: &Extensions) -> Response<B>;
}

impl<F, B> Reject<B> for F
where
    F: Fn(&Problem, &Extensions) -> Response<B> + Send + Sync + 'static,
{
    fn reject(&self, problem: &Problem, request: &Extensions) -> Response<B> {
        self(problem, request)
    }
}

/// The default [`Reject`]: `application/problem+json`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProblemJson;

impl<B: From<Bytes>> Reject<B> for ProblemJson {
    fn reject(&self, problem: &Problem, request: &Extensions) -> Response<B> {
        problem.clone().into_response(request.get::<RequestId>())
    }
}

/// The request's id, shown in problems. Put it into the request's extensions where the id is made
/// or taken over from the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Names the request. Whoever takes the id from a client checks its length and characters.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
