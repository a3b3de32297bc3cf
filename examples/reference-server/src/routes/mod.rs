//! The paths, a module for each noun, and the order of checks on the way to them.
//!
//! A handler decides in this order: it is given a grant ([`Authorized`], its first argument), reads the
//! body, opens the transaction, looks at what the body refers to, and acts. The layers before it have
//! answered 429, 401, 404.
//!
//! [`Authorized`]: crate::http::authorized::Authorized

mod admin;
mod admin_webhooks;
mod auth;
mod billing;
mod dev;
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

use crate::app::App;
use crate::http::guard::{SalvoGuard, bridge};
use crate::layers::Layers;

/// Every route of the server, inside the layers that it needs.
#[must_use]
pub fn router(app: Arc<App>, layers: &Layers, readiness: health::Readiness) -> Router {
    let members_only = Router::with_path("{org_id}")
        .hoop(SalvoGuard::new(Layers::resolve_org()))
        .hoop(SalvoGuard::new(layers.load_access()))
        .hoop(SalvoGuard::new(layers.limit_api()))
        .hoop(layers.bulkhead())
        .push(orgs::one())
        .push(members::routes())
        .push(invites::of_org())
        .push(projects::routes())
        .push(tasks::routes())
        .push(billing::routes());
    let signed_in = Router::new()
        .hoop(SalvoGuard::new(layers.authenticate()))
        .push(auth::signed_in())
        .push(me::routes())
        .push(Router::with_path("orgs").push(orgs::all()).push(members_only));
    let accepting = Router::with_path("invites/accept")
        .hoop(SalvoGuard::new(layers.limit_auth("invites-accept")))
        .hoop(SalvoGuard::new(layers.authenticate()))
        .push(invites::accept());
    let (admin, dev) = (admin::routes(app.admin_token.as_ref()), dev::routes(&app));
    let mut root = Router::new()
        .hoop(affix_state::inject(app))
        .hoop(bridge)
        .push(health::routes(readiness))
        .push(problems::routes())
        .push(auth::open(layers))
        .push(accepting)
        .push(signed_in)
        .push(webhooks::routes(layers));
    for optional in [admin, dev].into_iter().flatten() {
        root = root.push(optional);
    }
    root
}
