//! `/dev`: what stands in for the world outside in development and tests. Production has no such path.

use mt_core::clock::{Clock as _, SystemClock};
use mt_http::Receipt;
use salvo::prelude::*;
use salvo_oapi::schema::Ref;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use super::simulated;
use crate::app::App;
use crate::http::path::PathText;
use crate::http::problem::ApiError;
use crate::inline_schema;

/// The routes of this module.
pub(super) fn routes() -> Router {
    Router::with_path("dev/checkout/{session_id}").get(simulated::show).post(pay)
}

#[derive(Serialize, ToSchema)]
struct Delivered {
    events: Vec<DeliveredEvent>,
}

/// An event, as `POST /webhooks/stripe` answers for it.
#[derive(Serialize)]
#[serde(transparent)]
struct DeliveredEvent(Receipt);

inline_schema!(DeliveredEvent => Ref::from_schema_name("Receipt"));

/// Completes a simulated checkout.
///
/// Delivers the events that Stripe would send, with its signature. Not in production.
#[endpoint(tags("dev"))]
async fn pay(session_id: PathText, depot: &mut Depot) -> Result<Json<Delivered>, ApiError> {
    let app = App::of(depot);
    let delivered = app.billing.simulate_payment(&session_id.0, SystemClock.now()).await?;
    let delivered = delivered.ok_or_else(ApiError::not_found)?;
    let events = delivered
        .into_iter()
        .map(|(id, received)| DeliveredEvent(Receipt::of(id, received)))
        .collect();
    Ok(Json(Delivered { events }))
}
