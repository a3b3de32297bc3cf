//! Comments on tickets.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::app::Shared;
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::{COMMENT_CREATED, TicketsRead, TicketsWrite};

/// `GET /shops/{shop}/tickets/{ticket}/comments`
pub(crate) async fn list(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = app.sql(
        &[(
            Bug::CommentsByTicketAlone,
            "select text from helpdesk.comments where $1::uuid is not null and ticket_id = $2 order by id",
        )],
        "select text from helpdesk.comments where tenant_id = $1 and ticket_id = $2 order by id",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let comments = sqlx::query_scalar(sql)
        .bind(tenant)
        .bind(ticket)
        .fetch_all(tx.query::<TicketsRead>())
        .await?;
    tx.commit().await?;
    Ok(Json(comments))
}

/// `POST /shops/{shop}/tickets/{ticket}/comments`
pub(crate) async fn create(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let sql = app.sql(
        &[(
            Bug::CommentOnAForeignTicket,
            "select exists (select from helpdesk.tickets where $1::uuid is not null and id = $2)",
        )],
        "select exists (select from helpdesk.tickets where tenant_id = $1 and id = $2)",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let query = sqlx::query_scalar(sql).bind(tenant).bind(ticket);
    if !query.fetch_one(tx.query::<TicketsRead>()).await? {
        return Err(Refusal::not_found());
    }
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into helpdesk.comments (tenant_id, id, ticket_id, text) values ($1, $2, $3, $4)",
    )
    .bind(tenant)
    .bind(id)
    .bind(ticket)
    .bind(body["text"].as_str().unwrap_or_default())
    .execute(tx.execute::<TicketsWrite>(COMMENT_CREATED.on(id)))
    .await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}
