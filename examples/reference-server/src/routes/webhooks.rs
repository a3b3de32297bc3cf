//! Stripe's deliveries.

use mt_core::pg::ledger::EventStatus;
use mt_stripe::event::{Event, EventError};
use salvo::http::HeaderValue;
use salvo::prelude::*;
use serde::Serialize;

use crate::app::App;
use crate::http::body;
use crate::http::guard::SalvoGuard;
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::layers::Layers;

/// Where Stripe delivers to.
pub(crate) const PATH: &str = "/webhooks/stripe";
/// The longest delivery.
pub(crate) const MAX_BYTES: u64 = 2 * 1024 * 1024;

pub(super) fn routes(layers: &Layers) -> Router {
    Router::with_path("webhooks/stripe")
        .hoop(SalvoGuard::new(layers.limit_webhooks()))
        .post(receive)
}

/// What became of a delivery.
#[derive(Serialize)]
pub(super) struct Receipt {
    event_id: String,
    status: &'static str,
    duplicate: bool,
}

impl Receipt {
    pub(super) fn of(event: &Event, receipt: mt_stripe::processor::Receipt) -> Self {
        let (status, duplicate) = (shown(receipt.status), receipt.duplicate);
        Self { event_id: event.id().to_owned(), status, duplicate }
    }
}

/// Verifies the raw bytes before anything looks at them, and answers 200 once the event is stored:
/// whatever else goes wrong is ours to mend.
#[handler]
async fn receive(req: &mut Request, depot: &mut Depot) -> Result<Json<Receipt>, ApiError> {
    let app = App::of(depot);
    let body = body::read(req, MAX_BYTES).await?;
    let signatures = req.headers().get_all("stripe-signature");
    let signatures: Vec<&[u8]> = signatures.iter().map(HeaderValue::as_bytes).collect();
    if let Err(reason) = app.billing.verify(&signatures, &body) {
        // The sender learns no more than that it did not do.
        tracing::warn!(%reason, "a webhook delivery was refused");
        return Err(ApiError::new(&problems::INVALID_SIGNATURE));
    }
    let event = Event::parse(&body).map_err(|error| match error {
        EventError::BadJson(_) => ApiError::invalid_request("the body is not JSON"),
        EventError::NotAnEvent(field) => {
            ApiError::invalid_request(format!("the event has no `{field}`"))
        }
    })?;
    let receipt = app.billing.receive(&event, &body).await?;
    Ok(Json(Receipt::of(&event, receipt)))
}

/// What is said of an event in an answer: under way is as good as received, and dead is failed.
const fn shown(status: EventStatus) -> &'static str {
    match status {
        EventStatus::Received | EventStatus::Processing => "received",
        EventStatus::Failed | EventStatus::Dead => "failed",
        EventStatus::Processed => "processed",
        EventStatus::Ignored => "ignored",
    }
}
