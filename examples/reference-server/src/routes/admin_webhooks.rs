//! Stored events, for operators.

use mt_core::pg::ledger::{EventStatus, Filter, ReplayError, ReplayRequest};
use mt_tower::request_id::RequestId;
use salvo::prelude::*;
use salvo_oapi::endpoint;

use super::admin::Operator;
use crate::app::App;
use crate::billing::operations::{self, EventDetails, EventView};
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathText;
use crate::http::problem::ApiError;
use crate::http::problems::{self, Conflict};
use crate::http::query::Choice;

/// `/admin/webhook-events`.
pub(super) fn routes() -> Router {
    Router::with_path("webhook-events").get(list).push(
        Router::with_path("{event_id}").get(show).push(Router::with_path("replay").post(replay)),
    )
}

/// Lists stored events.
#[endpoint(tags("admin"))]
async fn list(
    _operator: Operator,
    status: Choice<EventStatus>,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<EventView>, ApiError> {
    let app = App::of(depot);
    let filter = Filter { status: status.0, ..Filter::default() };
    let page = page.of(&app.cursors, &operations::scope(&filter))?;
    Ok(operations::page_of_events(&app.system, &filter, &page).await?)
}

/// Shows a stored event and the delivered body.
#[endpoint(tags("admin"))]
async fn show(
    _operator: Operator,
    event_id: PathText,
    depot: &mut Depot,
) -> Result<Json<EventDetails>, ApiError> {
    let app = App::of(depot);
    let found = operations::details(&app.system, &event_id.0).await?;
    found.map(|(details, _history)| Json(details)).ok_or_else(ApiError::not_found)
}

/// Retries an event at once.
#[endpoint(tags("admin"), responses(Conflict))]
async fn replay(
    _operator: Operator,
    event_id: PathText,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<EventView>, ApiError> {
    let app = App::of(depot);
    // Who asked is kept, as far as a shared token tells: the request's id leads to the log.
    let id = req.extensions().get().map_or("unknown", RequestId::as_str);
    let request = ReplayRequest::by(format!("admin token, request {id}"));
    let event = app.billing.ledger().replay(&event_id.0, &request).await?;
    Ok(Json(event.into()))
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::BodyPurged | ReplayError::UnderWay => {
                problems::CONFLICT.problem().with_detail(error.to_string()).into()
            }
            ReplayError::NotFound => Self::not_found(),
            ReplayError::Pg(error) => error.into(),
            other => crate::refusals::internal(&other),
        }
    }
}
