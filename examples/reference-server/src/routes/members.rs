//! Members of an org.

use chrono::{DateTime, Utc};
use mt_core::id::PrincipalId;
use mt_core::pg::Member;
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::http::answer::NoContent;
use crate::http::caller::InOrg;
use crate::http::fields;
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::problems::LastOwner;
use crate::http::text_enum::AsText;
use crate::model::{MembersAssign, MembersRead, MembersRemove, Role};

pub(super) fn routes() -> Router {
    Router::with_path("members")
        .get(list)
        .push(Router::with_path("{user_id}").patch(assign).delete(remove))
}

#[derive(Serialize, ToSchema)]
struct MemberView {
    user_id: Uuid,
    email: String,
    role: AsText<Role>,
    joined_at: DateTime<Utc>,
}

impl From<Member<Role>> for MemberView {
    fn from(member: Member<Role>) -> Self {
        Self {
            user_id: member.principal.as_uuid(),
            email: member.email,
            role: AsText(member.role),
            joined_at: member.joined_at,
        }
    }
}

/// Lists the members of the org.
#[endpoint(tags("members"))]
async fn list(
    org: InOrg<MembersRead>,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<MemberView>, ApiError> {
    let app = App::of(depot);
    let page = page.of(&app.cursors, &format!("members:{}", org.0.tenant()))?;
    let before = page.after().map(|(joined_at, id)| (joined_at, PrincipalId::from_uuid(id)));
    let members = Member::list(app.tenants.read(org.0), before, page.fetch()).await?;
    let members = members.into_iter().map(MemberView::from).collect();
    Ok(page.answer(members, |member| (member.joined_at, member.user_id)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleChange {
    #[serde(default, deserialize_with = "present_role")]
    #[salvo(schema(value_type = AsText<Role>, required = false))]
    role: Option<Role>,
}

fn present_role<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Role>, D::Error> {
    fields::word(deserializer).map(Some)
}

/// Changes the role of a member.
#[endpoint(tags("members"), responses(LastOwner))]
async fn assign(
    org: InOrg<MembersAssign>,
    change: Body<RoleChange>,
    user_id: PathId,
    depot: &mut Depot,
) -> Result<Json<MemberView>, ApiError> {
    let app = App::of(depot);
    let user = PrincipalId::from_uuid(user_id.0);
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
    let member = match change.0.role {
        Some(role) => tx.assign_role(user, role).await?,
        None => Member::find(&mut tx, user).await?.ok_or_else(ApiError::not_found)?,
    };
    tx.commit().await?;
    Ok(Json(member.into()))
}

/// Removes a member, or lets the caller leave.
#[endpoint(tags("members"), responses(LastOwner))]
async fn remove(
    org: InOrg<MembersRemove>,
    user_id: PathId,
    depot: &mut Depot,
) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
    tx.remove_member(PrincipalId::from_uuid(user_id.0)).await?;
    tx.commit().await?;
    Ok(NoContent)
}
