//! `/metrics`: on the main port, open to all, or with `METRICS_ADDR` there and nowhere else.

use std::sync::Arc;

use salvo::http::HeaderValue;
use salvo::http::header::CONTENT_TYPE;
use salvo::routing::FlowCtrl;
use salvo::{Depot, Handler, Request, Response, Router, async_trait};

use crate::metrics::{self, Metrics};

/// The route of this module.
#[must_use]
pub fn routes(metrics: Arc<Metrics>) -> Router {
    Router::with_path("metrics").get(Page(metrics))
}

struct Page(Arc<Metrics>);

#[async_trait]
impl Handler for Page {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let page = self.0.render().await;
        res.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        // It is text: there is nothing about it that could fail.
        let _ = res.write_body(page);
    }
}
