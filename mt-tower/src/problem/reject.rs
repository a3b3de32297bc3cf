//! The response of a refused request.

use bytes::Bytes;
use http::{Extensions, Response};

use super::Problem;
use crate::request_id::RequestId;

/// Renders a [`Problem`] as the response of a refused request.
///
/// Implemented for closures, so an embedder with an error format or words of its own passes a
/// function. The extensions are those of the request, with the [`RequestId`] if the service sets one.
///
/// ```
/// use bytes::Bytes;
/// use http::{Extensions, Response};
/// use mt_tower::problem::{Problem, Reject};
/// use mt_tower::request_id::RequestId;
///
/// // This product calls its tenants orgs.
/// let in_our_words = |problem: &Problem, request: &Extensions| -> Response<Bytes> {
///     let problem = match problem.code() {
///         "tenant-suspended" => problem.clone().with_type("org-suspended", "The org is suspended"),
///         _ => problem.clone(),
///     };
///     problem.into_response(request.get::<RequestId>())
/// };
///
/// let answer = in_our_words.reject(&Problem::TENANT_SUSPENDED, &Extensions::new());
/// assert!(answer.body().starts_with(br#"{"type":"/problems/org-suspended""#));
/// ```
pub trait Reject<B>: Send + Sync + 'static {
    /// Builds the response. The caller leaves the problem in the response's extensions, unless one is
    /// there already.
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
