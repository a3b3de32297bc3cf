//! The span of each request of a service, and its line in the log.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::Response;
use mt_service::log::{record_answer, request_span};
use mt_service::observe::{Answered, Exchange, Observers};
use mt_service::serve::ConnectionLimits;
use mt_tower::problem::Problem;
use mt_tower::request_id::X_REQUEST_ID;
use tracing::Instrument as _;

use crate::request;

/// Runs the rest of the request in its span, and logs the answer. `limits` name the trusted proxies.
pub(crate) async fn in_span(
    State(limits): State<Option<Arc<ConnectionLimits>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request::identify(&mut request);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let proxies = limits.as_deref().map_or(&[][..], |limits| &limits.proxies);
    let (method, path) = (request.method().clone(), request.uri().path());
    let span = request_span(&method, path, request.headers(), peer, &id, proxies);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let exchange = Exchange::begin(&Observers::default());
    async {
        let mut response = next.run(request).await;
        response.headers_mut().insert(X_REQUEST_ID, id.to_header());
        let answered = Answered {
            method: &method,
            route: route.as_ref().map(MatchedPath::as_str),
            status: response.status(),
            problem: response.extensions().get::<Problem>().map(Problem::code),
            took: exchange.took(),
            extensions: &Extensions::new(),
        };
        record_answer(&span, &answered);
        tracing::info!(took_ms = answered.took.as_secs_f64() * 1000.0, "answered");
        response
    }
    .instrument(span.clone())
    .await
}
