//! What is read over all tickets of a shop.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use mt_core::access::{Grant, Implies, Permission};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::{Helpdesk, TicketsExport, TicketsRead};
use crate::ticket_list::parameters;

/// The texts that one statement returns for the shop and a text.
async fn texts<P>(
    app: &App,
    grant: Grant<P>,
    sql: &'static str,
    text: &str,
) -> Result<Json<Vec<String>>, Refusal>
where
    P: Permission<Model = Helpdesk> + Implies<TicketsRead>,
{
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let texts =
        sqlx::query_scalar(sql).bind(tenant).bind(text).fetch_all(tx.query::<TicketsRead>());
    let texts = texts.await?;
    tx.commit().await?;
    Ok(Json(texts))
}

/// `GET /shops/{shop}/search?q=…`
pub(crate) async fn search(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = app.sql(
        &[(
            Bug::SearchWithoutWhere,
            "select subject from helpdesk.tickets \
             where $1::uuid is not null and subject ilike '%' || $2 || '%' order by id",
        )],
        "select subject from helpdesk.tickets \
         where tenant_id = $1 and subject ilike '%' || $2 || '%' order by id",
    );
    let query = parameters(query.as_deref()).remove("q").unwrap_or_default();
    texts(&app, grant, sql, &query).await
}

/// `GET /shops/{shop}/board`
pub(crate) async fn board(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = app.sql(
        &[(
            Bug::JoinByCodeAlone,
            "select l.title || ': ' || t.subject from helpdesk.tickets t \
             join helpdesk.labels l on l.code = t.label \
             where t.tenant_id = $1 and $2 = '' order by t.id, l.title",
        )],
        "select l.title || ': ' || t.subject from helpdesk.tickets t \
         join helpdesk.labels l on l.tenant_id = t.tenant_id and l.code = t.label \
         where t.tenant_id = $1 and $2 = '' order by t.id, l.title",
    );
    texts(&app, grant, sql, "").await
}

/// The same for any caller: it stands outside of the guards.
pub(crate) async fn open_board(
    State(app): State<Shared>,
    Path(shop): Path<Uuid>,
) -> Result<Json<Vec<String>>, Refusal> {
    let mut tx = app.past_the_library().await?;
    let sql = "select subject from helpdesk.tickets where tenant_id = $1 order by id";
    Ok(Json(sqlx::query_scalar(sql).bind(shop).fetch_all(&mut *tx).await?))
}

/// The same with the server's own login, for the shop of the path.
pub(crate) async fn board_by_hand(
    State(app): State<Shared>,
    Path(shop): Path<Uuid>,
) -> Result<Json<Vec<String>>, Refusal> {
    let mut tx = app.by_hand(shop).await?;
    let sql = "select subject from helpdesk.tickets order by id";
    Ok(Json(sqlx::query_scalar(sql).fetch_all(&mut *tx).await?))
}

/// `GET /shops/{shop}/trash`
pub(crate) async fn trash(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = app.sql(
        &[(
            Bug::TrashWithoutWhere,
            "select subject from helpdesk.tickets \
             where $1::uuid is not null and $2 = '' and deleted_at is not null order by id",
        )],
        "select subject from helpdesk.tickets \
         where tenant_id = $1 and $2 = '' and deleted_at is not null order by id",
    );
    texts(&app, grant, sql, "").await
}

/// `GET /shops/{shop}/export`
pub(crate) async fn export(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsExport>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<String>>, Refusal> {
    if let (true, Some(shop)) =
        (app.has(Bug::ShopOfTheQuery), parameters(query.as_deref()).remove("shop"))
    {
        let shop: Uuid = shop.parse().map_err(|_| Refusal::not_found())?;
        let mut tx = app.past_the_library().await?;
        let sql = "select subject from helpdesk.tickets where tenant_id = $1 order by id";
        return Ok(Json(sqlx::query_scalar(sql).bind(shop).fetch_all(&mut *tx).await?));
    }
    if let (true, Some(shop)) =
        (app.has(Bug::TenantSetByHand), parameters(query.as_deref()).remove("shop"))
    {
        let mut tx = app.tenants.begin(grant).await?;
        sqlx::query("select set_config('mt.tenant_id', $1, true)")
            .bind(shop)
            .execute(tx.query::<TicketsExport>())
            .await?;
        let sql =
            "select subject from helpdesk.tickets where tenant_id = mt.tenant_id() order by id";
        let subjects = sqlx::query_scalar(sql).fetch_all(tx.query::<TicketsRead>()).await?;
        tx.commit().await?;
        return Ok(Json(subjects));
    }
    let sql = app.sql(
        &[(
            Bug::ExportWithoutWhere,
            "select row_to_json(t)::text from helpdesk.tickets t \
             where $1::uuid is not null and $2 = '' order by id",
        )],
        "select row_to_json(t)::text from helpdesk.tickets t \
         where tenant_id = $1 and $2 = '' order by id",
    );
    texts(&app, grant, sql, "").await
}

/// The same for every member.
pub(crate) async fn export_for_all(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Vec<String>>, Refusal> {
    let sql = "select row_to_json(t)::text from helpdesk.tickets t \
         where tenant_id = $1 and $2 = '' order by id";
    texts(&app, grant, sql, "").await
}

/// `GET /shops/{shop}/stats`
pub(crate) async fn stats(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
) -> Result<Json<Value>, Refusal> {
    let sql = app.sql(
        &[(
            Bug::CountOverAllShops,
            "select count(*) from helpdesk.tickets where $1::uuid is not null",
        )],
        "select count(*) from helpdesk.tickets where tenant_id = $1",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let tickets: i64 =
        sqlx::query_scalar(sql).bind(tenant).fetch_one(tx.query::<TicketsRead>()).await?;
    tx.commit().await?;
    Ok(Json(json!({"tickets": tickets})))
}

/// The same for any caller.
pub(crate) async fn open_stats(
    State(app): State<Shared>,
    Path(shop): Path<Uuid>,
) -> Result<Json<Value>, Refusal> {
    let mut tx = app.past_the_library().await?;
    let sql = "select count(*) from helpdesk.tickets where tenant_id = $1";
    let tickets: i64 = sqlx::query_scalar(sql).bind(shop).fetch_one(&mut *tx).await?;
    Ok(Json(json!({"tickets": tickets})))
}

/// `GET /shops/{shop}/t/{ticket}`: where the ticket is, under its subject.
pub(crate) async fn redirect(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    Path((_, ticket)): Path<(Uuid, Uuid)>,
) -> Result<(StatusCode, [(HeaderName, String); 1]), Refusal> {
    let sql = app.sql(
        &[(
            Bug::RedirectByIdAlone,
            "select subject from helpdesk.tickets where $1::uuid is not null and id = $2",
        )],
        "select subject from helpdesk.tickets where tenant_id = $1 and id = $2",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let query = sqlx::query_scalar(sql).bind(tenant).bind(ticket);
    let subject: Option<String> = query.fetch_optional(tx.query::<TicketsRead>()).await?;
    tx.commit().await?;
    let subject = subject.ok_or_else(Refusal::not_found)?;
    let slug = subject.to_uppercase().replace(' ', "-");
    let place = format!("/shops/{tenant}/tickets/{ticket}/{slug}");
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place)]))
}
