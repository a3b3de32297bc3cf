//! Refusals as pages, for people.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderValue, Response};
use http_body_util::Full;
use mt_tower::problem::Problem;

/// Says no in HTML. A function like this one is a [`Reject`](mt_tower::problem::Reject).
///
/// It takes over status and headers, for a 401 needs its challenge and a 429 its `Retry-After`. Of the
/// texts it takes the title, which is a word of the program and needs no escaping.
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
