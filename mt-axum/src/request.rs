//! The id of a request, in its answer and in what it records.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use mt_core::pg::audit_log;
use mt_tower::problem::Problem;
use mt_tower::request_id::{RequestId, X_REQUEST_ID};

/// Marks the response of a handler whose problem does not show the request's id: `IntoResponse` does not know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutId;

/// Returns the id of the request, which the outermost layer chooses.
pub(crate) fn identify(request: &mut Request) -> RequestId {
    if let Some(id) = request.extensions().get::<RequestId>() {
        return id.clone();
    }
    let id = RequestId::choose(request.headers());
    request.extensions_mut().insert(id.clone());
    id
}

/// Runs the rest of the request, whose audit entries name the id, and shows the id in the answer.
pub(crate) async fn run(id: &RequestId, request: Request, next: Next) -> Response {
    let mut response = audit_log::in_request(id.as_str(), next.run(request)).await;
    if response.extensions_mut().remove::<WithoutId>().is_some()
        && let Some(problem) = response.extensions().get::<Problem>().cloned()
    {
        *response.body_mut() = problem.into_response::<Body>(Some(id)).into_body();
    }
    response.headers_mut().insert(X_REQUEST_ID, id.to_header());
    response
}
