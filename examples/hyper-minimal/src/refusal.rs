//! Refusals as pages, for people.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderValue, Response};
use http_body_util::Full;
use mt_tower::problem::Problem;

/// Renders a problem as an HTML page. A function like this one is a [`Reject`](mt_tower::problem::Reject).
///
/// Status and headers are kept, because a 401 needs its challenge and a 429 its `Retry-After`. The text is
/// the title, which comes from the program and needs no escaping.
#[must_use]
pub fn page(problem: &Problem, _: &Extensions) -> Response<Full<Bytes>> {
    let title = problem.title();
    let html = format!("<!doctype html><title>{title}</title><h1>{title}</h1>\n");
    let mut answer = Response::new(Full::from(html));
    *answer.status_mut() = problem.status();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    for (name, value) in problem.headers() {
        headers.append(name, value.clone());
    }
    answer
}
