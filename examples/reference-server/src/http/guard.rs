//! Guards in this server's words.

use bytes::Bytes;
use http::{Extensions, Response};
use mt_salvo::GuardHandler;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};

use super::problem::ApiError;

/// A guard as a handler. `None` refuses every request, for routes that are described and not served.
pub(crate) type ApiGuard<G> = GuardHandler<Served<G>>;

/// Puts `guard` before routes.
pub(crate) fn guard_handler<G: Guard>(guard: Option<G>) -> ApiGuard<G> {
    GuardHandler::new(Served(guard)).with_reject(in_our_words)
}

/// A guard, or a refusal of every request.
#[derive(Clone, Debug)]
pub(crate) struct Served<G>(Option<G>);

impl<G: Guard> Guard for Served<G> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        match &self.0 {
            Some(guard) => guard.check(request).await,
            None => Err(Problem::unavailable()),
        }
    }
}

fn in_our_words(problem: &Problem, request: &Extensions) -> Response<Bytes> {
    ApiError::from(problem.clone()).into_problem().into_response(request.get())
}
