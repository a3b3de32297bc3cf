//! Stored events, for operators.

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::AccessModel;
use mt_core::pg::ledger::{EventStatus, Filter, LedgerEvent, ReplayError, ReplayRequest};
use mt_core::text_enum::TextEnum as _;
use mt_stripe::operations;
use mt_tower::problem::Problem;
use mt_tower::request_id::RequestId;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Noun;
use crate::answer::{Answer, json};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, any, date_time, integer, nullable, text, words};
use crate::operation::{Operation, Requirement};
use crate::page::{Listing, PageQuery};
use crate::problems::conflict;
use crate::query;
use crate::refusal::Refusal;

const ALL: &str = "/admin/webhook-events";

/// Stripe's stored events, for operators: `GET /admin/webhook-events`, `GET …/{event_id}`, `POST …/{event_id}/replay`.
/// It needs [`EndpointOptions::stripe`](crate::EndpointOptions::stripe).
#[derive(Clone, Copy, Debug)]
pub struct WebhookEvents;

impl<M: AccessModel> Group<M> for WebhookEvents {
    fn operations(self, _: Noun) -> Operations<M> {
        let one = format!("{ALL}/{{event_id}}");
        let about =
            |id: &str, text: &str| Description::new(format!("admin_webhooks.{id}"), "admin", text);
        let event = event("Event");
        let details = self::event("EventDetails").with("payload", nullable(any()));
        Operations(vec![
            Operation::new(
                Method::GET,
                ALL,
                about("list", "Lists stored events.")
                    .query("status", "Lists only items with this value.", &words::<EventStatus>())
                    .pages_of(&event),
                |call| Box::pin(list(call)),
            )
            .behind(Guarded::Operator),
            Operation::new(
                Method::GET,
                one.clone(),
                about("show", "Shows a stored event and the delivered body.")
                    .path_text("event_id", "The id of the event.")
                    .gives(200, "The event.", details),
                |call| Box::pin(show(call)),
            )
            .behind(Guarded::Operator),
            Operation::new(
                Method::POST,
                format!("{one}/replay"),
                about("replay", "Retries an event at once.")
                    .path_text("event_id", "The id of the event.")
                    .gives(200, "The event.", event)
                    .may(&["conflict"]),
                |call| Box::pin(replay(call)),
            )
            .with(Requirement::Stripe)
            .behind(Guarded::Operator),
        ])
    }
}

fn event(name: &str) -> Schema {
    Schema::new(name)
        .with("event_id", text())
        .with("type", text())
        .with("status", words::<EventStatus>())
        .with("attempts", integer())
        .with("deliveries", integer())
        .with("last_error", nullable(text()))
        .with("received_at", date_time())
        .with("processed_at", nullable(date_time()))
        .with("next_attempt_at", nullable(date_time()))
}

/// A stored event, as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// The id of the event at Stripe.
    pub event_id: String,
    /// The type of the event at Stripe.
    pub r#type: String,
    /// The status of the event.
    pub status: &'static str,
    /// The number of attempts since the last replay.
    pub attempts: i32,
    /// The number of deliveries.
    pub deliveries: i32,
    /// Why the event was not applied, with a code first.
    pub last_error: Option<String>,
    /// The time at which it was stored.
    pub received_at: DateTime<Utc>,
    /// The time at which its effect was committed.
    pub processed_at: Option<DateTime<Utc>>,
    /// The time of the next attempt; `null` if none is planned.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl From<LedgerEvent> for EventView {
    fn from(event: LedgerEvent) -> Self {
        Self {
            event_id: event.event_id,
            r#type: event.kind,
            status: event.status.as_str(),
            attempts: event.attempts,
            deliveries: event.deliveries,
            last_error: event.last_error,
            received_at: event.received_at,
            processed_at: event.processed_at,
            next_attempt_at: event.next_attempt_at,
        }
    }
}

async fn list<M: AccessModel>(call: Call<'_, M>) -> Answer {
    call.operator()?;
    let uri = &call.parts.uri;
    let filter = Filter { status: query::choice(uri, "status")?, ..Filter::default() };
    let page = call.page(PageQuery::read(uri)?, &operations::scope(&filter))?;
    let events =
        operations::list(&call.context.system, &filter, page.after(), page.fetch()).await?;
    let Listing { items, next_cursor } = page.answer(events, |event: &LedgerEvent| event.id);
    let items: Vec<_> = items.into_iter().map(EventView::from).collect();
    Ok(json(&Listing { items, next_cursor }))
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    event: EventView,
    payload: Option<Box<RawValue>>,
}

async fn show<M: AccessModel>(call: Call<'_, M>) -> Answer {
    call.operator()?;
    let event_id = call.path_text("event_id")?;
    let found = operations::find(&call.context.system, event_id).await?;
    let found = found.ok_or(Problem::NOT_FOUND)?;
    // What was stored is JSON: it was read before.
    let payload = found.body.and_then(|body| serde_json::from_slice(&body).ok());
    Ok(json(&Details { event: found.event.into(), payload }))
}

async fn replay<M: AccessModel>(call: Call<'_, M>) -> Answer {
    call.operator()?;
    let event_id = call.path_text("event_id")?;
    // Who asked is kept, as far as a shared token tells: the request's id leads to the log.
    let id = call.parts.extensions.get().map_or("unknown", RequestId::as_str);
    let request = ReplayRequest::by(format!("admin token, request {id}"));
    let event = call.stripe()?.ledger().replay(event_id, &request).await?;
    Ok(json(&EventView::from(event)))
}

impl From<ReplayError> for Refusal {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::BodyPurged | ReplayError::UnderWay => conflict(error.to_string()).into(),
            ReplayError::NotFound => Problem::NOT_FOUND.into(),
            ReplayError::Pg(error) => error.into(),
            other => Problem::internal(&other).into(),
        }
    }
}
