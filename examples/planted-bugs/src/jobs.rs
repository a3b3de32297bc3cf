//! What is done to many tickets at once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mt_core::pg::SystemReason;
use serde_json::Value;
use uuid::Uuid;

use crate::app::Shared;
use crate::bug::Bug;
use crate::http::{Authorized, Refusal};
use crate::model::{DIGEST_CREATED, TICKET_CHANGED, TicketsRead, TicketsWrite};

/// `POST /shops/{shop}/close` with `{"ids": […]}`: closes all of them or none.
pub(crate) async fn close_some(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let ids = body["ids"].as_array().into_iter().flatten();
    let ids: Vec<Uuid> = ids.filter_map(|id| id.as_str()?.parse().ok()).collect();
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant().as_uuid();
    let checked =
        if app.has(Bug::BatchChecksTheFirst) { &ids[..ids.len().min(1)] } else { &ids[..] };
    let known: i64 = sqlx::query_scalar(
        "select count(*) from helpdesk.tickets where tenant_id = $1 and id = any($2)",
    )
    .bind(tenant)
    .bind(checked)
    .fetch_one(tx.query::<TicketsRead>())
    .await?;
    if ids.is_empty() || known != i64::try_from(checked.len()).unwrap_or(i64::MAX) {
        return Err(Refusal::not_found());
    }
    let sql = app.sql(
        &[(
            Bug::BatchChecksTheFirst,
            "update helpdesk.tickets set status = 'closed' where $1::uuid is not null and id = any($2)",
        )],
        "update helpdesk.tickets set status = 'closed' where tenant_id = $1 and id = any($2)",
    );
    sqlx::query(sql)
        .bind(tenant)
        .bind(&ids)
        .execute(tx.execute::<TicketsWrite>(TICKET_CHANGED.on(ids[0])))
        .await?;
    tx.commit().await?;
    app.wrote(tenant);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /shops/{shop}/jobs/close`: closes every open ticket.
pub(crate) async fn close_all(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
) -> Result<StatusCode, Refusal> {
    let sql = app.sql(
        &[(
            Bug::JobOverAllShops,
            "update helpdesk.tickets set status = 'closed' where $1::uuid is not null and status = 'open'",
        )],
        "update helpdesk.tickets set status = 'closed' where tenant_id = $1 and status = 'open'",
    );
    if app.has(Bug::JobAsSystem) {
        let mut tx = app.database.system().begin(SystemReason::new("close tickets")).await?;
        let sql = "update helpdesk.tickets set status = 'closed'";
        sqlx::query(sql).execute(tx.conn()).await?;
        tx.commit().await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut tx = app.tenants.begin(grant).await?;
    let tenant = tx.tenant();
    sqlx::query(sql)
        .bind(tenant.as_uuid())
        .execute(tx.execute::<TicketsWrite>(TICKET_CHANGED.on(tenant.as_uuid())))
        .await?;
    tx.commit().await?;
    app.wrote(tenant.as_uuid());
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /shops/{shop}/jobs/digest`: keeps the subjects of the day.
pub(crate) async fn digest(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
) -> Result<StatusCode, Refusal> {
    let sql = app.sql(
        &[(
            Bug::DigestOverAllShops,
            "insert into helpdesk.digests (tenant_id, id, text) \
             select $1, $2, string_agg(subject, ' ') from helpdesk.tickets",
        )],
        "insert into helpdesk.digests (tenant_id, id, text) \
         select $1, $2, string_agg(subject, ' ') from helpdesk.tickets where tenant_id = $1",
    );
    let mut tx = app.tenants.begin(grant).await?;
    let (tenant, id) = (tx.tenant().as_uuid(), Uuid::now_v7());
    sqlx::query(sql)
        .bind(tenant)
        .bind(id)
        .execute(tx.execute::<TicketsWrite>(DIGEST_CREATED.on(id)))
        .await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}
