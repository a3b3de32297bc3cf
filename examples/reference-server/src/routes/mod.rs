//! The paths, a module for each noun, and the order of checks on the way to them.
//!
//! A handler has the caller's request for access ([`InOrg`], its first argument), reads the body, opens the transaction,
//! which decides, looks at what the body refers to, and acts. The layers before it have answered 429 and 401. What is
//! refused before the transaction, such as the body, is answered after the decision; see `decide_first`.
//!
//! [`InOrg`]: crate::http::caller::InOrg

mod admin;
mod admin_orgs;
mod admin_webhooks;
mod audit;
mod auth;
mod billing;
mod decide_first;
mod dev;
mod docs;
mod export;
pub mod health;
mod invites;
mod me;
mod members;
pub mod metrics;
mod once;
mod orgs;
pub mod problems;
mod projects;
mod tasks;
pub(crate) mod webhooks;

use std::sync::Arc;

use salvo::{Router, affix_state};
use serde_json::Value;

use crate::app::App;
use crate::config::Secret;
use crate::layers::Layers;
use crate::metrics::Metrics;
use crate::pages;

/// Every route of the server, inside the layers that it needs. Without `metrics` there is no page for them.
#[must_use]
pub fn router(
    app: Arc<App>,
    layers: &Layers,
    readiness: health::Readiness,
    metrics: Option<Arc<Metrics>>,
) -> Router {
    let admin = admin::routes(app.admin_token.as_ref());
    let dev = app.reveal_tokens.then(dev::routes);
    let routes = routes(layers, readiness, [admin, dev, metrics.map(metrics::routes)]);
    let document = docs::Document::of(&routes);
    Router::new().hoop(affix_state::inject(app)).hoop(affix_state::inject(document)).push(routes)
}

/// The OpenAPI document of every route that there can be, as JSON.
#[must_use]
pub fn document() -> Value {
    let readiness = health::Readiness::new(health::Never, true);
    let admin = admin::routes(Some(&Secret::new("there is one")));
    let optional = [admin, Some(dev::routes()), Some(metrics::page_alone())];
    docs::json_of(&routes(&Layers::closed(), readiness, optional))
}

fn routes(layers: &Layers, readiness: health::Readiness, optional: [Option<Router>; 3]) -> Router {
    let members_only = Router::with_path("{org_id}")
        .hoop(layers.in_org())
        .push(orgs::one())
        .push(members::routes())
        .push(invites::of_org())
        .push(projects::routes())
        .push(tasks::routes())
        .push(billing::routes(layers))
        .push(audit::routes())
        .push(export::routes());
    let signed_in = Router::new()
        .hoop(decide_first::decide_first)
        .push(auth::signed_in().hoop(layers.outside_orgs()))
        .push(me::routes().hoop(layers.outside_orgs()))
        .push(
            Router::with_path("orgs")
                .push(orgs::all().hoop(layers.outside_orgs()))
                .push(members_only),
        );
    // The page needs no token; the POST of its button does.
    let accepting = Router::with_path("invites/accept").get(pages::accept::show).push(
        Router::new()
            .hoop(decide_first::decide_first)
            .hoop(layers.accept_invite())
            .push(invites::accept()),
    );
    let open = Router::new()
        .push(health::routes(readiness))
        .push(problems::routes())
        .push(docs::routes())
        .push(auth::open(layers))
        .push(accepting)
        .push(Router::with_path("billing").get(pages::billing::page))
        .push(signed_in)
        .push(webhooks::routes(layers));
    optional.into_iter().flatten().fold(open, Router::push)
}
