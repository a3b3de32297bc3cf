//! Tickets and the comments on them.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use mt::axum::{Result, Tenant};
use mt::layers::problem::Problem;
use mt::prelude::*;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::model::{Tickets, TicketsDelete, TicketsRead, TicketsWrite};
use crate::purge::purge_later;

const CREATED: Action = Action::new("ticket.created", "ticket");
const UPDATED: Action = Action::new("ticket.updated", "ticket");
const DELETED: Action = Action::new("ticket.deleted", "ticket");
const COMMENTED: Action = Action::new("ticket.commented", "ticket");

#[derive(FromRow, Serialize)]
pub(crate) struct Ticket {
    id: Uuid,
    subject: String,
    status: String,
}

#[derive(Deserialize)]
pub(crate) struct NewTicket {
    subject: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Open,
    Closed,
}

#[derive(Deserialize)]
pub(crate) struct TicketChange {
    status: Status,
}

/// The ids in the path of a ticket: shop and ticket.
type Ids = Path<(String, Uuid)>;

pub(crate) async fn list(shop: Tenant<TicketsRead>) -> Result<Json<Vec<Ticket>>> {
    let newest = "select id, subject, status from helpdesk.tickets \
        where tenant_id = mt.tenant_id() order by id desc limit 50";
    Ok(Json(shop.fetch_all(query_as(newest)).await?))
}

pub(crate) async fn create(
    shop: Tenant<TicketsWrite>,
    Json(new): Json<NewTicket>,
) -> Result<(StatusCode, Json<Ticket>)> {
    let id = Uuid::now_v7();
    let insert =
        "insert into helpdesk.tickets (id, subject) values ($1, $2) returning id, subject, status";
    let insert = query_as(insert).bind(id).bind(new.subject);
    Ok((StatusCode::CREATED, Json(shop.create::<Tickets, _>(CREATED.on(id), insert).await?)))
}

pub(crate) async fn show(shop: Tenant<TicketsRead>, Path((_, id)): Ids) -> Result<Json<Ticket>> {
    let one = "select id, subject, status from helpdesk.tickets where tenant_id = mt.tenant_id() and id = $1";
    let ticket = shop.fetch_optional(query_as(one).bind(id)).await?;
    Ok(Json(ticket.ok_or(Problem::NOT_FOUND)?))
}

pub(crate) async fn update(
    shop: Tenant<TicketsWrite>,
    Path((_, id)): Ids,
    Json(change): Json<TicketChange>,
) -> Result<Json<Ticket>> {
    let status = match change.status {
        Status::Open => "open",
        Status::Closed => "closed",
    };
    let update = "update helpdesk.tickets set status = $2 \
        where tenant_id = mt.tenant_id() and id = $1 returning id, subject, status";
    let ticket = shop.execute(UPDATED.on(id), query_as(update).bind(id).bind(status)).await?;
    Ok(Json(ticket.ok_or(Problem::NOT_FOUND)?))
}

pub(crate) async fn delete(shop: Tenant<TicketsDelete>, Path((_, id)): Ids) -> Result<StatusCode> {
    let delete =
        "delete from helpdesk.tickets where tenant_id = mt.tenant_id() and id = $1 returning id";
    let deleted = shop.execute(DELETED.on(id), query_scalar::<Uuid>(delete).bind(id)).await?;
    deleted.ok_or(Problem::NOT_FOUND)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the closed tickets deleted in an hour.
pub(crate) async fn purge(shop: Tenant<TicketsDelete>) -> Result<StatusCode> {
    shop.write(async |tx| Ok(purge_later(tx).await?)).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn comments(
    shop: Tenant<TicketsRead>,
    Path((_, ticket)): Ids,
) -> Result<Json<Vec<String>>> {
    let texts = "select text from helpdesk.comments \
        where tenant_id = mt.tenant_id() and ticket_id = $1 order by id limit 50";
    Ok(Json(shop.fetch_all(query_scalar(texts).bind(ticket)).await?))
}

pub(crate) async fn comment(
    shop: Tenant<TicketsWrite>,
    Path((_, ticket)): Ids,
    Json(text): Json<String>,
) -> Result<(StatusCode, Json<Uuid>)> {
    // No row if the ticket is not one of the shop.
    let insert = "insert into helpdesk.comments (id, ticket_id, text) select $1, id, $3 \
        from helpdesk.tickets where tenant_id = mt.tenant_id() and id = $2 returning id";
    let insert = query_scalar(insert).bind(Uuid::now_v7()).bind(ticket).bind(text);
    let id = shop.execute(COMMENTED.on(ticket), insert).await?;
    Ok((StatusCode::CREATED, Json(id.ok_or(Problem::NOT_FOUND)?)))
}
