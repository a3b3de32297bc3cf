//! Stripe's deliveries.

use bytes::Bytes;
use mt_core::pg::ledger::EventStatus;
use mt_stripe::event::{Event, EventError};
use salvo::extract::{Extractible, Metadata};
use salvo::http::HeaderValue;
use salvo::prelude::*;
use salvo_oapi::{
    Components, Content, EndpointArgRegister, Object, Operation, ParameterIn, RequestBody,
    Required, ToSchema, endpoint,
};
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::http::body;
use crate::http::guard::SalvoGuard;
use crate::http::openapi::describe::{may, takes, text};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::layers::Layers;

/// Where Stripe delivers to.
pub(crate) const PATH: &str = "/webhooks/stripe";
/// The longest delivery.
pub(crate) const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// The header that carries Stripe's signature.
const SIGNATURE: &str = "stripe-signature";

pub(super) fn routes(layers: &Layers) -> Router {
    Router::with_path("webhooks/stripe")
        .hoop(SalvoGuard::new(layers.limit_webhooks()))
        .post(receive)
}

/// What became of a delivery.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipt {
    event_id: String,
    status: &'static str,
    duplicate: bool,
    /// Why it was not applied. Begins with a word for it; absent where there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Receipt {
    pub(super) fn of(event: &Event, receipt: mt_stripe::processor::Receipt) -> Self {
        let mt_stripe::processor::Receipt { status, reason, duplicate } = receipt;
        Self { event_id: event.id().to_owned(), status: shown(status), duplicate, reason }
    }
}

/// A delivery, as it came: its bytes are verified before anything looks at them.
struct Delivery {
    body: Bytes,
    signatures: Vec<HeaderValue>,
}

impl<'ex> Extractible<'ex> for Delivery {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Delivery");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        let body = body::read(req, MAX_BYTES).await?;
        let signatures = req.headers().get_all(SIGNATURE).iter().cloned().collect();
        Ok(Self { body, signatures })
    }
}

impl EndpointArgRegister for Delivery {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let event = Object::new()
            .description("An event. Fields that are not named here are kept.")
            .property("id", text().min_length(1))
            .required("id")
            .property("type", text().min_length(1))
            .required("type");
        let example = json!({"id": "evt_1", "type": "customer.created", "data": {"object": {}}});
        let content = Content::new(event).example(example);
        let body = RequestBody::new().add_content("application/json", content);
        operation.request_body = Some(body.required(Required::True));
        let description = "`t=…,v1=…`: HMAC-SHA-256 of time and body under the endpoint's secret.";
        takes(operation, ParameterIn::Header, SIGNATURE, description, text());
        may(operation, &[&problems::INVALID_REQUEST, &problems::INVALID_SIGNATURE]);
        may(operation, &[&problems::TOO_LARGE, &problems::RATE_LIMITED]);
    }
}

/// Takes an event of Stripe's.
///
/// 200 says that it is stored: whatever else goes wrong is mended here.
#[endpoint(tags("webhooks"))]
async fn receive(delivery: Delivery, depot: &mut Depot) -> Result<Json<Receipt>, ApiError> {
    let (app, body) = (App::of(depot), delivery.body);
    let signatures: Vec<&[u8]> = delivery.signatures.iter().map(HeaderValue::as_bytes).collect();
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
