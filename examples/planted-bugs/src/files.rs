//! Files of a shop, which are not in Postgres.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use uuid::Uuid;

use crate::app::Shared;
use crate::http::{Authorized, Refusal};
use crate::model::{TICKET_CHANGED, TicketsRead, TicketsWrite};

/// `GET /shops/{shop}/files/{file}`
pub(crate) async fn find(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsRead>,
    Path((shop, file)): Path<(Uuid, String)>,
) -> Result<String, Refusal> {
    let tx = app.tenants.begin(grant).await?;
    tx.commit().await?;
    app.file(shop, &file).ok_or_else(Refusal::not_found)
}

/// `PUT /shops/{shop}/files/{file}`
pub(crate) async fn put(
    State(app): State<Shared>,
    Authorized(grant): Authorized<TicketsWrite>,
    Path((shop, file)): Path<(Uuid, String)>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let mut tx = app.tenants.begin(grant).await?;
    tx.record(TICKET_CHANGED.on(shop));
    tx.commit().await?;
    app.put_file(shop, &file, &body);
    Ok(StatusCode::NO_CONTENT)
}
