//! 401 before every other refusal, for a caller whose token is valid and who is not signed in any more.
//!
//! The authentication guard checks a token by itself. Whether the user exists and has not signed out is stored
//! in the database, and the transaction of a successful request reads it. A refusal can come before that
//! transaction: a body that is not JSON, a query that does not parse, a malformed org id. This handler wraps
//! the guards and all routes behind them, so no route has to care about the order, and a request that succeeds
//! needs no second query.

use mt_core::access::Access;
use mt_core::auth::Principal;
use salvo::http::StatusCode;
use salvo::prelude::*;

use crate::app::App;
use crate::http::problem::ApiError;
use crate::model::Product;

/// Looks the caller up if the request was refused before its transaction did, and answers 401 if the caller is
/// unknown or signed out.
#[handler]
pub(super) async fn known_caller(
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
    ctrl: &mut FlowCtrl,
) {
    ctrl.call_next(req, depot, res).await;
    if !res.status_code.is_some_and(comes_after_401) {
        return;
    }
    // Access that was loaded for this request proves that the caller exists. A cached one may be out of date.
    if req.extensions().get::<Access<Product>>().is_some_and(|access| !access.is_cached()) {
        return;
    }
    let Some(caller) = req.extensions().get::<Principal>().copied() else { return };
    if let Err(error) = look_up(&App::of(depot), caller).await {
        *res = Response::new();
        error.write_to(res, req.extensions().get());
    }
}

/// Whether a refusal says more than 401 would.
fn comes_after_401(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)
}

async fn look_up(app: &App, caller: Principal) -> Result<(), ApiError> {
    Ok(app.principals.begin(caller).await?.commit().await?)
}
