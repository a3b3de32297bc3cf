//! `/dev`: what stands in for the world outside in development and tests. Production has no such path.

use salvo::prelude::*;
use serde::Serialize;

use super::webhooks::Receipt;
use crate::app::App;
use crate::http::problem::ApiError;

/// The routes of this module, except in production.
pub(super) fn routes(app: &App) -> Option<Router> {
    let page = Router::with_path("dev/checkout/{session_id}").post(pay);
    app.reveal_tokens.then_some(page)
}

#[derive(Serialize)]
struct Delivered {
    events: Vec<Receipt>,
}

/// Pays on a simulated page: delivers the events that Stripe would send, signed as it would sign them.
#[handler]
async fn pay(req: &mut Request, depot: &mut Depot) -> Result<Json<Delivered>, ApiError> {
    let app = App::of(depot);
    let session = req.params().get("session_id").ok_or_else(ApiError::not_found)?;
    let delivered = app.billing.simulate_payment(&app.system, session).await?;
    let delivered = delivered.ok_or_else(ApiError::not_found)?;
    let events = delivered.iter().map(|(event, receipt)| Receipt::of(event, *receipt)).collect();
    Ok(Json(Delivered { events }))
}
