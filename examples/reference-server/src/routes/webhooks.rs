//! Stripe's deliveries.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::{EventStatus, Received};
use mt_stripe::VerifiedEvent;
use mt_stripe::event::EventError;
use mt_stripe::signature::{HEADER as SIGNATURE, SignatureError, VerifyError};
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
use crate::http::openapi::describe::{may, takes, text};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::layers::Layers;

/// Where Stripe delivers to.
pub(crate) const PATH: &str = "/webhooks/stripe";
/// The longest delivery.
pub(crate) const MAX_BYTES: u64 = 2 * 1024 * 1024;

pub(super) fn routes(layers: &Layers) -> Router {
    Router::with_path("webhooks/stripe").hoop(layers.limit_webhooks()).post(receive)
}

/// The result of a delivery.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipt {
    event_id: String,
    status: &'static str,
    duplicate: bool,
    /// Why the event was not applied, with a code first; absent if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Receipt {
    pub(super) fn of(event_id: String, received: Received) -> Self {
        let Received { status, reason, duplicate } = received;
        Self { event_id, status: shown(status), duplicate, reason }
    }
}

/// The event of a delivery, once its signature is verified.
struct Verified {
    event: VerifiedEvent,
    /// Counts against the memory for bodies until the event is stored.
    _body: body::Received,
}

impl<'ex> Extractible<'ex> for Verified {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Verified");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, depot: &'ex mut Depot) -> Result<Self, ApiError> {
        let app = App::of(depot);
        let signatures: Vec<_> = req.headers().get_all(SIGNATURE).iter().cloned().collect();
        let signatures: Vec<&[u8]> = signatures.iter().map(HeaderValue::as_bytes).collect();
        // A delivery that cannot be genuine is refused before its body takes memory.
        app.billing.check_headers(&signatures, SystemClock.now()).map_err(refused)?;
        let body = body::read(req, MAX_BYTES).await?;
        match app.billing.verify(&signatures, body.to_vec(), SystemClock.now()) {
            Ok(event) => Ok(Self { event, _body: body }),
            Err(VerifyError::Signature(reason)) => Err(refused(reason)),
            Err(VerifyError::Event(EventError::NotAnEvent(field))) => {
                Err(ApiError::invalid_request(format!("the event has no `{field}`")))
            }
            Err(_) => Err(ApiError::invalid_request("the body is not JSON")),
        }
    }
}

impl EndpointArgRegister for Verified {
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

/// Receives an event from Stripe.
///
/// 200 means that the event is stored: the server retries whatever fails afterwards.
#[endpoint(tags("webhooks"))]
async fn receive(verified: Verified, depot: &mut Depot) -> Result<Json<Receipt>, ApiError> {
    let Verified { event, _body } = verified;
    let id = event.event().id().to_owned();
    let received = App::of(depot).billing.ledger().receive(event).await?;
    Ok(Json(Receipt::of(id, received)))
}

/// The sender learns no more than that the signature did not do.
fn refused(reason: SignatureError) -> ApiError {
    tracing::warn!(%reason, "a webhook delivery was refused");
    ApiError::new(&problems::INVALID_SIGNATURE)
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
