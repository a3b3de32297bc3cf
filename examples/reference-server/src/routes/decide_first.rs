//! 401, 404, 403 and 402 before every other refusal.
//!
//! Whether the caller is signed in, is a member and may act is stored in the database, and the first message of the
//! handler's transaction decides it. A refusal can come before that transaction: a body that is not JSON, a query that
//! does not parse, a malformed id. This handler wraps the guards and all routes behind them. It decides before such a
//! refusal is answered, so no route has to care about the order, and a request that succeeds needs no second query.

use mt_core::access::AccessSource as _;
use mt_core::auth::Principal;
use mt_tower::load_access::RecentAccess;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::RequestedTenant;
use mt_tower::trace;
use salvo::http::StatusCode;
use salvo::prelude::*;

use crate::app::App;
use crate::http::caller::Undecided;
use crate::http::problem::{ApiError, Decided};
use crate::model::Product;

/// Decides on the caller's access if the request was refused before its transaction did, and answers the refusal of that
/// decision instead.
#[handler]
pub(super) async fn decide_first(
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
    ctrl: &mut FlowCtrl,
) {
    ctrl.call_next(req, depot, res).await;
    let app = App::of(depot);
    if res.status_code.is_some_and(comes_after_access)
        && res.extensions.get::<Decided>().is_none()
        && let Err(error) = decide(&app, req).await
    {
        *res = Response::new();
        error.write_to(res, req.extensions().get());
    }
    note_member(&app, req);
}

/// Whether a refusal says more than the decision on the caller's access would.
fn comes_after_access(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)
}

async fn decide(app: &App, req: &Request) -> Result<(), ApiError> {
    let extensions = req.extensions();
    if let Some(undecided) = extensions.get::<Undecided<Product>>() {
        let access = app.tenants.load_access(undecided.principal, undecided.tenant).await;
        return Ok((undecided.check)(&access.map_err(Problem::from)?)?);
    }
    // No route was reached that asks for access. The caller exists, or does not.
    let Some(caller) = extensions.get::<Principal>().copied() else { return Ok(()) };
    Ok(app.principals.begin(caller).await?.commit().await?)
}

/// Tells metrics and the span of the org, if the transaction found a member.
fn note_member(app: &App, req: &mut Request) {
    let extensions = req.extensions_mut();
    if let Some(principal) = extensions.get::<Principal>()
        && let Some(RequestedTenant(tenant)) = extensions.get()
        && let Some(access) = app.tenants.recent(*principal, *tenant)
    {
        trace::record_tenant(extensions, access.tenant());
        extensions.insert(RecentAccess::<Product>(access));
    }
}
