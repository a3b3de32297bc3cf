//! `/metrics`: on the main port, open to all, or with `METRICS_ADDR` there and nowhere else.

use std::sync::Arc;

use salvo::http::HeaderValue;
use salvo::http::header::CONTENT_TYPE;
use salvo::{Depot, Response, Router, affix_state};
use salvo_oapi::endpoint;

use crate::metrics::Metrics;

/// The route of this module.
#[must_use]
pub fn routes(metrics: Arc<Metrics>) -> Router {
    page_alone().hoop(affix_state::inject(metrics))
}

/// The same without anything to show, to be looked at.
pub(super) fn page_alone() -> Router {
    Router::with_path("metrics").get(page)
}

/// Returns the metrics of the server, for Prometheus.
#[endpoint(
    tags("meta"),
    responses((status_code = 200, description = "Metrics.", content_type = "text/plain", body = String))
)]
async fn page(depot: &mut Depot, res: &mut Response) {
    let metrics: &Arc<Metrics> = depot.get_typed().expect("injected with the route");
    let text = metrics.render().await;
    res.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(mt_service::metrics::CONTENT_TYPE));
    // It is text: there is nothing about it that could fail.
    let _ = res.write_body(text);
}
