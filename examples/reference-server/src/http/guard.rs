//! Guards in this server's words.

use bytes::Bytes;
use http::{Extensions, Response};
use mt_salvo::GuardHandler;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};

use super::problem::ApiError;

/// Puts `guard` before routes.
pub(crate) fn guard_handler<G: Guard>(guard: G) -> GuardHandler<G> {
    GuardHandler::new(guard).with_reject(in_our_words)
}

/// Guard that refuses every request, for routes that are described and not served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotServed;

impl Guard for NotServed {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        Err(Problem::unavailable())
    }
}

/// Renders a problem of the library as one of the server's.
pub(crate) fn in_our_words(problem: &Problem, request: &Extensions) -> Response<Bytes> {
    ApiError::from(problem.clone()).into_problem().into_response(request.get())
}
