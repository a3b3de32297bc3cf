//! The caller.

use mt_core::pg::{Tenant, User};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;

pub(super) fn routes() -> Router {
    Router::with_path("me").get(me)
}

#[derive(Serialize, ToSchema)]
struct Me {
    id: Uuid,
    email: String,
    /// The newest 1000 memberships. `GET /orgs` lists all of them, in pages.
    memberships: Vec<Membership>,
}

#[derive(Serialize, ToSchema)]
struct Membership {
    org_id: Uuid,
    org_name: String,
    role: String,
}

/// How many memberships the answer shows: what it costs does not grow with the caller's orgs any further.
const SHOWN: i64 = 1000;

/// Shows the caller and their newest memberships, at most 1000.
#[endpoint(tags("auth"))]
async fn me(caller: Caller, depot: &mut Depot) -> Result<Json<Me>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.principals.begin(caller.0).await?;
    let user = User::own(&mut tx).await?;
    let newest = Tenant::of_principal(&mut tx, None, SHOWN).await?;
    tx.commit().await?;
    let memberships = newest.into_iter().map(|summary| Membership {
        org_id: summary.tenant.id.as_uuid(),
        org_name: summary.tenant.name,
        role: summary.role,
    });
    Ok(Json(Me { id: user.id.as_uuid(), email: user.email, memberships: memberships.collect() }))
}
