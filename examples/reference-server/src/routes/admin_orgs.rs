//! Orgs, for operators: stopping them, and letting them go on.

use mt_core::access::Suspension;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::{SystemReason, Tenant};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::admin::Operator;
use crate::app::App;
use crate::http::fields;
use crate::http::json::Body;
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::text_enum::AsText;

const SUSPEND: SystemReason = SystemReason::new("suspend an org for an operator");

/// `/admin/orgs/{org_id}`.
pub(super) fn routes() -> Router {
    Router::with_path("orgs/{org_id}").push(Router::with_path("suspension").post(suspend))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SuspensionChange {
    #[serde(deserialize_with = "fields::word")]
    #[salvo(schema(value_type = AsText<Suspension>))]
    mode: Suspension,
}

#[derive(Serialize, ToSchema)]
struct SuspensionView {
    org_id: Uuid,
    mode: AsText<Suspension>,
}

/// Suspends an org, or ends its suspension. It takes effect with the next transaction.
#[endpoint(tags("admin"))]
async fn suspend(
    _operator: Operator,
    body: Body<SuspensionChange>,
    org_id: PathId,
    depot: &mut Depot,
) -> Result<Json<SuspensionView>, ApiError> {
    let app = App::of(depot);
    let (SuspensionChange { mode }, org_id) = (body.0, org_id.0);
    let mut tx = app.system.begin(SUSPEND).await?;
    // Which of those who know the token is for the log of whatever stands in front.
    tx.act_as(Actor::operator("admin token"));
    let found = Tenant::suspend(&mut tx, TenantId::from_uuid(org_id), mode).await?;
    tx.commit().await?;
    found.ok_or_else(ApiError::not_found)?;
    Ok(Json(SuspensionView { org_id, mode: AsText(mode) }))
}
