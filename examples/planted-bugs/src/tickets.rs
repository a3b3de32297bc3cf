//! Tickets: found, made, changed, deleted.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use mt_core::id::TenantId;
use mt_core::pg::{SystemReason, TenantTx};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::{
    TICKET_CHANGED, TICKET_CREATED, TICKET_DELETED, TicketsDelete, TicketsRead, TicketsWrite,
};

pub(crate) type Row = (Uuid, i64, String, String);

pub(crate) fn view((id, number, subject, status): Row) -> Value {
    json!({"id": id, "number": number, "subject": subject, "status": status})
}

/// `GET /shops/{shop}/tickets/{ticket}`
pub(crate) async fn find(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
) -> Result<Json<Value>, Refusal> {
    match () {
        () if app.has(Bug::EmptyAnswer) => return Ok(Json(json!({}))),
        () if app.has(Bug::AlwaysFails) => return Err(sqlx::Error::RowNotFound.into()),
        () if app.has(Bug::RefusesEveryMember) => return Err(Refusal::forbidden()),
        () => {}
    }
    let sql = app.sql(
        &[(
            Bug::FindByIdAlone,
            "select id, number, subject, status from helpdesk.tickets \
             where $1::uuid is not null and id = $2 and deleted_at is null",
        )],
        "select id, number, subject, status from helpdesk.tickets \
         where tenant_id = $1 and id = $2 and deleted_at is null",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let found: Option<Row> = sqlx::query_as(sql)
        .bind(tenant)
        .bind(ticket)
        .fetch_optional(tx.query::<TicketsRead>())
        .await?;
    if found.is_none() && app.has(Bug::ForbiddenIfForeign) {
        let sql = "select exists (select from helpdesk.tickets where id = $1)";
        let query = sqlx::query_scalar(sql).bind(ticket);
        if query.fetch_one(tx.query::<TicketsRead>()).await? {
            return Err(Refusal::forbidden());
        }
    }
    tx.commit().await?;
    found.map(view).map(Json).ok_or_else(Refusal::not_found)
}

/// `POST /shops/{shop}/tickets`
pub(crate) async fn create(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    let (id, subject) = (Uuid::now_v7(), body["subject"].as_str().unwrap_or_default().to_owned());
    let reference = body["reference"].as_str();
    let named = match () {
        () if app.has(Bug::ShopOfTheBody) => body["shop"].as_str().and_then(|id| id.parse().ok()),
        () if app.has(Bug::ShopOfAHeader) => {
            headers.get("x-shop").and_then(|id| id.to_str().ok()?.parse().ok())
        }
        () => None,
    };
    if let Some(shop) = named {
        create_elsewhere(&app, shop, id, &subject).await?;
        return Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response());
    }
    let sql = app.sql(
        &[
            (
                Bug::NumberOfASequence,
                "insert into helpdesk.tickets (tenant_id, id, number, subject, reference) \
                 values ($1, $2, nextval('helpdesk.numbers'), $3, $4) returning number",
            ),
            (
                Bug::NumberOverAllShops,
                "insert into helpdesk.tickets (tenant_id, id, number, subject, reference) \
                 select $1, $2, coalesce(max(number), 0) + 1, $3, $4 from helpdesk.tickets \
                 returning number",
            ),
        ],
        "insert into helpdesk.tickets (tenant_id, id, number, subject, reference) \
         select $1, $2, coalesce(max(number), 0) + 1, $3, $4 from helpdesk.tickets \
             where tenant_id = $1 returning number",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    refuse_taken(&app, &mut tx, reference).await?;
    let place = if app.has(Bug::NothingRecorded) {
        tx.execute_unaudited::<TicketsWrite>()
    } else {
        tx.execute::<TicketsWrite>(TICKET_CREATED.on(id))
    };
    let number: i64 = sqlx::query_scalar(sql)
        .bind(tenant)
        .bind(id)
        .bind(subject)
        .bind(reference)
        .fetch_one(place)
        .await?;
    if app.has(Bug::ForgottenCommit) {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    if let (true, Some(named)) = (app.has(Bug::EntryInTheNamedShop), body["shop"].as_str()) {
        record_elsewhere(&app, named, id).await?;
    }
    app.wrote(tenant);
    Ok((StatusCode::CREATED, Json(json!({"id": id, "number": number}))).into_response())
}

/// Makes a ticket in whichever shop the request names.
async fn create_elsewhere(
    app: &App,
    shop: Uuid,
    id: Uuid,
    subject: &str,
) -> Result<(), sqlx::Error> {
    let mut tx = app.past_the_library().await?;
    let sql =
        "insert into helpdesk.tickets (tenant_id, id, number, subject) values ($3, $1, 0, $2)";
    sqlx::query(sql).bind(id).bind(subject).bind(shop).execute(&mut *tx).await?;
    tx.commit().await
}

/// Refuses a reference that a ticket has.
async fn refuse_taken(
    app: &App,
    tx: &mut TenantTx<TicketsWrite>,
    reference: Option<&str>,
) -> Result<(), Refusal> {
    let sql = app.sql(
        &[(
            Bug::ErrorNamesAForeignTicket,
            "select subject from helpdesk.tickets where $1::uuid is not null and reference = $2",
        )],
        "select subject from helpdesk.tickets where tenant_id = $1 and reference = $2",
    );
    let tenant = tx.tenant().as_uuid();
    let query = sqlx::query_scalar(sql).bind(tenant).bind(reference);
    let taken: Option<String> = query.fetch_optional(tx.query::<TicketsRead>()).await?;
    match taken {
        Some(subject) => Err(Refusal::conflict(&format!("the reference is that of `{subject}`"))),
        None => Ok(()),
    }
}

/// Has the log of whichever shop the body names say what was done.
async fn record_elsewhere(app: &App, shop: &str, ticket: Uuid) -> Result<(), Refusal> {
    let Some(shop) = TenantId::parse(shop) else { return Ok(()) };
    let mut tx = app.database.system().begin(SystemReason::new("record a ticket")).await?;
    tx.record(shop, TICKET_CREATED.on(ticket));
    Ok(tx.commit().await?)
}

/// `PATCH /shops/{shop}/tickets/{ticket}`
pub(crate) async fn change(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    if app.has(Bug::ChangesNothing) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let sql = app.sql(
        &[
            (
                Bug::ChangeByIdAlone,
                "update helpdesk.tickets set subject = $3 \
                 where $1::uuid is not null and id = $2 and ($4::uuid is null or true)",
            ),
            (
                Bug::ChangeMovesToAnotherShop,
                "update helpdesk.tickets set subject = $3, tenant_id = coalesce($4, tenant_id) \
                 where tenant_id = $1 and id = $2",
            ),
        ],
        "update helpdesk.tickets set subject = $3 \
         where tenant_id = $1 and id = $2 and ($4::uuid is null or true)",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    if app.has(Bug::CommitByHand) {
        sqlx::query("commit").execute(tx.execute_unaudited::<TicketsWrite>()).await?;
    }
    if app.has(Bug::ChangeBesideTheEntry) {
        let sql = "update helpdesk.tickets set status = 'changed' where tenant_id = $1 and id = $2";
        let query = sqlx::query(sql).bind(tenant).bind(ticket);
        query.execute(tx.query::<TicketsRead>()).await?;
    }
    let done = sqlx::query(sql)
        .bind(tenant)
        .bind(ticket)
        .bind(body["subject"].as_str().unwrap_or_default())
        .bind(body["tenant_id"].as_str().and_then(|id| id.parse::<Uuid>().ok()))
        .execute(tx.execute::<TicketsWrite>(TICKET_CHANGED.on(ticket)))
        .await?;
    tx.commit().await?;
    app.wrote(tenant);
    found(done.rows_affected())
}

/// The same under a permission that reads.
pub(crate) async fn change_while_reading(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let done =
        sqlx::query("update helpdesk.tickets set subject = $3 where tenant_id = $1 and id = $2")
            .bind(tenant)
            .bind(ticket)
            .bind(body["subject"].as_str().unwrap_or_default())
            .execute(tx.query::<TicketsRead>())
            .await?;
    tx.commit().await?;
    found(done.rows_affected())
}

/// `PUT /shops/{shop}/tickets/{ticket}`
pub(crate) async fn put(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let sql = app.sql(
        &[(
            Bug::UpsertOntoAForeignId,
            "insert into helpdesk.tickets (tenant_id, id, number, subject) values ($1, $2, 0, $3) \
             on conflict (id) do update set subject = excluded.subject",
        )],
        "insert into helpdesk.tickets (tenant_id, id, number, subject) values ($1, $2, 0, $3) \
         on conflict (tenant_id, id) do update set subject = excluded.subject",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    sqlx::query(sql)
        .bind(tenant)
        .bind(ticket)
        .bind(body["subject"].as_str().unwrap_or_default())
        .execute(tx.execute::<TicketsWrite>(TICKET_CHANGED.on(ticket)))
        .await?;
    tx.commit().await?;
    app.wrote(tenant);
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /shops/{shop}/tickets/{ticket}`
pub(crate) async fn delete(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsDelete>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Refusal> {
    let sql = app.sql(
        &[
            (
                Bug::DeleteByIdAlone,
                "delete from helpdesk.tickets where $1::uuid is not null and id = $2",
            ),
            (
                Bug::DeleteTakesLabelsAlong,
                "with gone as (delete from helpdesk.labels where tenant_id = $1) \
                 delete from helpdesk.tickets where tenant_id = $1 and id = $2",
            ),
        ],
        "delete from helpdesk.tickets where tenant_id = $1 and id = $2",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let done = sqlx::query(sql)
        .bind(tenant)
        .bind(ticket)
        .execute(tx.execute::<TicketsDelete>(TICKET_DELETED.on(ticket)))
        .await?;
    tx.commit().await?;
    app.wrote(tenant);
    found(done.rows_affected())
}

/// The same under the permission to write.
pub(crate) async fn delete_as_a_writer(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Refusal> {
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let done = sqlx::query("delete from helpdesk.tickets where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(ticket)
        .execute(tx.execute::<TicketsWrite>(TICKET_DELETED.on(ticket)))
        .await?;
    tx.commit().await?;
    app.wrote(tenant);
    found(done.rows_affected())
}

fn found(rows: u64) -> Result<StatusCode, Refusal> {
    if rows == 0 { Err(Refusal::not_found()) } else { Ok(StatusCode::NO_CONTENT) }
}
