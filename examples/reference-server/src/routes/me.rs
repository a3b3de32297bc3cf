//! The caller.

use mt_core::id::TenantId;
use mt_core::pg::{Tenant, User};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::http::authorized::Caller;
use crate::http::problem::ApiError;

pub(super) fn routes() -> Router {
    Router::with_path("me").get(me)
}

#[derive(Serialize, ToSchema)]
struct Me {
    id: Uuid,
    email: String,
    memberships: Vec<Membership>,
}

#[derive(Serialize, ToSchema)]
struct Membership {
    org_id: Uuid,
    org_name: String,
    role: String,
}

/// Rows asked for at once. The answer has no pages, so it is put together from several.
const BATCH: i64 = 100;

/// Shows the caller and their memberships.
#[endpoint(tags("auth"))]
async fn me(caller: Caller, depot: &mut Depot) -> Result<Json<Me>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.principals.begin(caller.0).await?;
    let user = User::own(&mut tx).await?;
    let mut memberships = Vec::new();
    let mut last: Option<TenantId> = None;
    loop {
        let batch = Tenant::of_principal(&mut tx, last, BATCH).await?;
        last = batch.last().map(|summary| summary.tenant.id);
        memberships.extend(batch.into_iter().map(|summary| Membership {
            org_id: summary.tenant.id.as_uuid(),
            org_name: summary.tenant.name,
            role: summary.role,
        }));
        if memberships.len() % usize::try_from(BATCH).unwrap_or(usize::MAX) != 0 || last.is_none() {
            break;
        }
    }
    tx.commit().await?;
    Ok(Json(Me { id: user.id.as_uuid(), email: user.email, memberships }))
}
