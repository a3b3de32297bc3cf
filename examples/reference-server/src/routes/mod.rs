//! The server's own routes, a module for each noun, and the order of checks on the way to them. The others are ready-made
//! (`endpoints.rs`).
//!
//! A handler has the caller's request for access ([`InOrg`], its first argument), reads the body, opens the transaction,
//! which decides, looks at what the body refers to, and acts. The layers before it have answered 429 and 401. What is
//! refused before the transaction, such as the body, is answered after the decision; see `decide_first`.
//!
//! [`InOrg`]: crate::http::caller::InOrg

mod decide_first;
mod dev;
mod docs;
mod export;
pub mod health;
pub mod metrics;
mod once;
pub mod problems;
mod projects;
mod simulated;
mod tasks;

use std::sync::Arc;

use mt_http::EndpointService;
use mt_tower::Guard;
use salvo::{Router, affix_state};
use serde_json::Value;

use crate::app::App;
use crate::endpoints::endpoints;
use crate::http::caller::ORG_ID;
use crate::http::guard::{NotServed, guard_handler};
use crate::metrics::Metrics;
use crate::model::Product;

/// Every route of the server, inside the layers that it needs. Without `metrics` there is no page for them.
#[must_use]
pub(crate) fn router(
    app: Arc<App>,
    service: &EndpointService<Product>,
    in_org: impl Guard,
    readiness: health::Readiness,
    metrics: Option<Arc<Metrics>>,
) -> Router {
    let dev = app.reveal_tokens.then(dev::routes);
    let own = own_routes(in_org, readiness, [dev, metrics.map(metrics::routes)]);
    let document = docs::Document::of(&own, &endpoints(app.has_operators).openapi());
    Router::new()
        .hoop(affix_state::inject(app))
        .hoop(affix_state::inject(document))
        .push(own)
        .push(mt_salvo::endpoints(service))
}

/// The OpenAPI document of every route that there can be, as JSON.
#[must_use]
pub fn document() -> Value {
    let readiness = health::Readiness::new(health::Never, true);
    let optional = [Some(dev::routes()), Some(metrics::page_alone())];
    docs::json_of(&own_routes(NotServed, readiness, optional), &endpoints(true).openapi())
}

/// The routes that are not ready-made.
fn own_routes(
    in_org: impl Guard,
    readiness: health::Readiness,
    optional: [Option<Router>; 2],
) -> Router {
    let in_org = Router::with_path(format!("orgs/{{{ORG_ID}}}"))
        .hoop(decide_first::decide_first)
        .hoop(guard_handler(in_org))
        .push(projects::routes())
        .push(tasks::routes())
        .push(export::routes());
    let open = Router::new()
        .push(health::routes(readiness))
        .push(problems::routes())
        .push(docs::routes())
        .push(in_org);
    optional.into_iter().flatten().fold(open, Router::push)
}
