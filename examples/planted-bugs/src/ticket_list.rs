//! The list of tickets: filtered, in pages, cached, with an entity tag.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mt_core::pg::TenantTx;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::TicketsRead;
use crate::tickets::{Row, view};

/// The parameters of a query.
pub(crate) fn parameters(query: Option<&str>) -> HashMap<String, String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

fn id_in(parameters: &HashMap<String, String>, name: &str) -> Option<Uuid> {
    parameters.get(name).and_then(|id| id.parse().ok())
}

/// `GET /shops/{shop}/tickets?after=…&assignee=…`
pub(crate) async fn list(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let mut tx = app.tenants.begin(grant).await?;
    let parameters = parameters(query.as_deref());
    let query = format!("{:?} {:?}", parameters.get("after"), parameters.get("assignee"));
    let key = match () {
        () if app.has(Bug::CacheWithoutShop) => query,
        () if app.has(Bug::CacheByCaller) => format!("{:?} {query}", tx.principal().id()),
        () => format!("{} {query}", tx.tenant()),
    };
    let body = match app.cached(&key) {
        Some(body) => body,
        None => {
            let body = page(&app, &mut tx, &parameters).await?;
            app.cache(key, &body);
            body
        }
    };
    let (etag, total) = marks(&app, &mut tx).await?;
    tx.commit().await?;
    let mut headers = vec![("etag", etag), ("x-total", total)];
    if app.has(Bug::LastWriteOfTheProcess) {
        headers.push(("x-last-write", app.writes().to_string()));
    }
    let headers: HeaderMap = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect();
    Ok((headers, Json(body)).into_response())
}

async fn page(
    app: &App,
    tx: &mut TenantTx<TicketsRead>,
    parameters: &HashMap<String, String>,
) -> Result<Value, sqlx::Error> {
    let sql = app.sql(
        &[
            (
                Bug::ListWithoutWhere,
                "select id, number, subject, status from helpdesk.tickets \
                 where $1::uuid is not null and deleted_at is null and ($2::uuid is null or id > $2) \
                     and ($3::uuid is null or assignee = $3) order by id limit 50",
            ),
            (
                Bug::CursorReachesOver,
                "select id, number, subject, status from helpdesk.tickets \
                 where (tenant_id = $1 or $2::uuid is not null) and deleted_at is null \
                     and ($2::uuid is null or id > $2) \
                     and ($3::uuid is null or assignee = $3) order by id limit 50",
            ),
            (
                Bug::FilterOutsideOfBrackets,
                "select id, number, subject, status from helpdesk.tickets \
                 where tenant_id = $1 and deleted_at is null and ($2::uuid is null or id > $2) \
                     and $3::uuid is null or assignee = $3 order by id limit 50",
            ),
        ],
        "select id, number, subject, status from helpdesk.tickets \
         where tenant_id = $1 and deleted_at is null and ($2::uuid is null or id > $2) \
             and ($3::uuid is null or assignee = $3) order by id limit 50",
    );
    let tenant = tx.tenant().as_uuid();
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(tenant)
        .bind(id_in(parameters, "after"))
        .bind(id_in(parameters, "assignee"))
        .fetch_all(tx.query::<TicketsRead>())
        .await?;
    let mut next = rows.last().map(|(id, ..)| id.to_string());
    if app.has(Bug::CursorHoldsAForeignRow) {
        let sql = "select subject from helpdesk.tickets order by id limit 1";
        let first: String = sqlx::query_scalar(sql).fetch_one(tx.query::<TicketsRead>()).await?;
        next = Some(URL_SAFE_NO_PAD.encode(first));
    }
    Ok(json!({"tickets": rows.into_iter().map(view).collect::<Vec<_>>(), "next": next}))
}

/// The entity tag of the list, and how many tickets there are.
async fn marks(app: &App, tx: &mut TenantTx<TicketsRead>) -> Result<(String, String), sqlx::Error> {
    let sql = app.sql(
        &[
            (
                Bug::TagOverAllShops,
                "select '\"' || md5((select max(updated_at) from helpdesk.tickets)::text) || '\"', \
                     (select count(*) from helpdesk.tickets where tenant_id = $1)::text",
            ),
            (
                Bug::TotalOverAllShops,
                "select '\"' || md5((select max(updated_at) from helpdesk.tickets \
                         where tenant_id = $1)::text) || '\"', \
                     (select count(*) from helpdesk.tickets)::text",
            ),
        ],
        "select '\"' || md5(max(updated_at)::text) || '\"', count(*)::text \
         from helpdesk.tickets where tenant_id = $1",
    );
    let tenant = tx.tenant().as_uuid();
    let (tag, total): (Option<String>, String) =
        sqlx::query_as(sql).bind(tenant).fetch_one(tx.query::<TicketsRead>()).await?;
    Ok((tag.unwrap_or_default(), total))
}
