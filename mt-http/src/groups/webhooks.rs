//! Stripe's deliveries.

use http::{HeaderValue, Method, StatusCode};
use mt_core::access::AccessModel;
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::{EventStatus, Received};
use mt_stripe::event::EventError;
use mt_stripe::signature::{SignatureError, VerifyError};
use mt_tower::problem::Problem;
use serde::Serialize;
use serde_json::json;

use crate::Noun;
use crate::answer::{Answer, json as json_answer};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, boolean, text};
use crate::operation::{Operation, Requirement};
use crate::problems::invalid_request;

/// The longest delivery, in bytes.
pub const MAX_DELIVERY: u64 = 2 * 1024 * 1024;

/// The header that carries Stripe's signature.
const SIGNATURE: &str = "stripe-signature";

/// Stripe's deliveries: `POST /webhooks/stripe`. It needs [`EndpointOptions::stripe`](crate::EndpointOptions::stripe).
#[derive(Clone, Copy, Debug)]
pub struct Webhooks;

impl Webhooks {
    /// The path to which Stripe delivers.
    pub const PATH: &'static str = "/webhooks/stripe";
}

impl<M: AccessModel> Group<M> for Webhooks {
    fn operations(self, _: Noun) -> Operations<M> {
        let mut named = text();
        named["minLength"] = json!(1);
        let event = Schema::new("StripeEvent")
            .described("An event. Fields that are not named here are kept.")
            .with("id", named.clone())
            .with("type", named);
        let example = json!({"id": "evt_1", "type": "customer.created", "data": {"object": {}}});
        let receipt = receipt();
        let text = "Receives an event from Stripe.\n\n200 means that the event is stored: the server retries whatever fails \
            afterwards.";
        let header = "`t=…,v1=…`: HMAC-SHA-256 of time and body under the endpoint's secret.";
        let description = Description::new("webhooks.receive", "webhooks", text)
            .takes_bytes(event, example)
            .header(SIGNATURE, header)
            .gives(200, "Stored.", receipt)
            .may(&["invalid-signature"]);
        Operations(vec![
            Operation::new(Method::POST, Self::PATH, description, |call| Box::pin(receive(call)))
                .with(Requirement::Stripe)
                .behind(Guarded::Webhook),
        ])
    }
}

fn receipt() -> Schema {
    Schema::new("Receipt")
        .described("The result of a delivery.")
        .with("event_id", text())
        .with("status", text())
        .with("duplicate", boolean())
        .optional("reason", text())
}

/// The result of a delivery, as the response shows it.
#[derive(Debug, Serialize)]
pub struct Receipt {
    event_id: String,
    status: &'static str,
    duplicate: bool,
    /// Why the event was not applied, with a code first; absent if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Receipt {
    /// Creates the receipt of the event `event_id`.
    #[must_use]
    pub fn of(event_id: String, received: Received) -> Self {
        let Received { status, reason, duplicate } = received;
        Self { event_id, status: shown(status), duplicate, reason }
    }
}

async fn receive<M: AccessModel>(mut call: Call<'_, M>) -> Answer {
    let parts = call.parts;
    let signatures: Vec<_> =
        parts.headers.get_all(SIGNATURE).iter().map(HeaderValue::as_bytes).collect();
    // A delivery that cannot be genuine is refused before its body takes memory.
    call.stripe()?.check_headers(&signatures, SystemClock.now()).map_err(refused)?;
    // Counts against the memory for bodies until the event is stored.
    let body = call.bytes(MAX_DELIVERY).await?;
    let event = match call.stripe()?.verify(&signatures, body.to_vec(), SystemClock.now()) {
        Ok(event) => event,
        Err(VerifyError::Signature(reason)) => return Err(refused(reason).into()),
        Err(VerifyError::Event(EventError::NotAnEvent(field))) => {
            return Err(invalid_request(format!("the event has no `{field}`")).into());
        }
        Err(_) => return Err(invalid_request("the body is not JSON").into()),
    };
    let id = event.event().id().to_owned();
    let received = call.stripe()?.ledger().receive(event).await?;
    drop(body);
    Ok(json_answer(&Receipt::of(id, received)))
}

/// The sender learns no more than that the signature did not do.
fn refused(reason: SignatureError) -> Problem {
    tracing::warn!(%reason, "a webhook delivery was refused");
    Problem::new(StatusCode::BAD_REQUEST, "invalid-signature", "The signature does not match")
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
