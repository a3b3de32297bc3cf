//! Invites: made, listed and taken back in an org, accepted outside of it.

use chrono::{DateTime, Utc};
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::InviteId;
use mt_core::pg::invites::{self, Invite, InviteStatus};
use mt_core::pg::{SystemReason, Tenant};
use mt_core::word::Word as _;
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::once::Once;
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::authorized::{Authorized, Caller};
use crate::http::fields::{self, Email, Token};
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::problems::{
    AlreadyMember, BillingRequired, CapReached, Conflict, Forbidden, InviteInvalid, OrgSuspended,
    RateLimited,
};
use crate::http::words::Said;
use crate::mail::Letter;
use crate::model::{InvitesCreate, InvitesRead, InvitesRevoke, Product, Role, Seats};

const ACCEPT: SystemReason = SystemReason::new("accept an invite");

/// `/orgs/{org_id}/invites`.
pub(super) fn of_org() -> Router {
    Router::with_path("invites")
        .get(list)
        .post(create)
        .push(Router::with_path("{invite_id}").delete(revoke))
}

/// `/invites/accept`.
pub(super) fn accept() -> Router {
    Router::new().post(accept_invite)
}

#[derive(Serialize, ToSchema)]
struct InviteView {
    id: Uuid,
    email: String,
    role: Said<Role>,
    status: Said<InviteStatus>,
    expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[salvo(schema(value_type = String, required = false))]
    token: Option<String>,
}

impl Made for InviteView {}

impl From<Invite<Role>> for InviteView {
    fn from(invite: Invite<Role>) -> Self {
        Self {
            id: invite.id.as_uuid(),
            email: invite.email,
            role: Said(invite.role),
            status: Said(invite.status),
            expires_at: invite.expires_at,
            token: None,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    email: Email,
    #[serde(deserialize_with = "fields::word")]
    #[salvo(schema(value_type = Said<Role>))]
    role: Role,
}

/// Invites somebody, by mail. Asking again for the same address turns the token.
#[endpoint(tags("invites"), responses(AlreadyMember, CapReached))]
async fn create(
    grant: Authorized<InvitesCreate>,
    once: Once<NewInvite>,
    depot: &mut Depot,
) -> Result<Created<InviteView>, ApiError> {
    let app = App::of(depot);
    app.mailer.accepts(once.body.email.as_address())?;
    let (mut tx, room) = app.tenants.begin_exclusive_capped::<_, Seats>(grant.0).await?;
    if let Some(earlier) = once.earlier(&mut tx).await? {
        return Ok(earlier);
    }
    let (email, role) = (once.body.email.as_address(), once.body.role);
    let made = invites::invite(&mut tx, room, &app.hasher, email, role, app.invite_ttl).await?;
    let org = Tenant::load(&mut tx).await?;
    let (ttl, now) = (app.invite_ttl, SystemClock.now());
    let letter = Letter::invite(&app.base_url, &made.token, &org.name, role.as_str(), ttl, now);
    let conn = tx.unrecorded::<InvitesCreate>();
    app.mailer.enqueue(conn, Some(org.id), email, letter).await?;
    let path = format!("/orgs/{}/invites/{}", org.id, made.invite.id);
    let mut view = InviteView::from(made.invite);
    view.token = app.reveal_tokens.then(|| made.token.reveal().to_owned());
    let created = Created::new(&path, &view);
    once.keep(&mut tx, &created).await?;
    tx.commit().await?;
    app.mailer.bell().ring();
    Ok(created)
}

/// Lists the invites of the org.
#[endpoint(tags("invites"))]
async fn list(
    grant: Authorized<InvitesRead>,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<InviteView>, ApiError> {
    let app = App::of(depot);
    let page = page.of(&app.cursors, &format!("invites:{}", grant.0.tenant()))?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let before = page.after().map(InviteId::from_uuid);
    let invites = invites::list(&mut tx, before, page.fetch()).await?;
    tx.commit().await?;
    let invites = invites.into_iter().map(InviteView::from).collect();
    Ok(page.answer(invites, |invite| invite.id))
}

/// Takes an invite back.
#[endpoint(tags("invites"), responses(Conflict))]
async fn revoke(
    grant: Authorized<InvitesRevoke>,
    invite_id: PathId,
    depot: &mut Depot,
) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin_exclusive(grant.0).await?;
    invites::revoke(&mut tx, InviteId::from_uuid(invite_id.0)).await?;
    tx.commit().await?;
    Ok(NoContent)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    token: Token,
}

#[derive(Serialize, ToSchema)]
struct Joined {
    org_id: Uuid,
    role: Said<Role>,
}

/// Joins an org by an invite.
#[endpoint(
    tags("invites"),
    responses(
        InviteInvalid,
        BillingRequired,
        CapReached,
        Forbidden,
        OrgSuspended,
        AlreadyMember,
        RateLimited
    )
)]
async fn accept_invite(
    caller: Caller,
    acceptance: Body<Acceptance>,
    depot: &mut Depot,
) -> Result<Json<Joined>, ApiError> {
    let (app, caller, token) = (App::of(depot), caller.0, acceptance.0.token.into_string());
    let mut tx = app.system.begin_for(caller, ACCEPT).await?;
    let accepted =
        invites::accept::<Product, Seats>(&mut tx, &app.hasher, &app.standing, caller, &token)
            .await?;
    tx.commit().await?;
    Ok(Json(Joined { org_id: accepted.tenant.as_uuid(), role: Said(accepted.role) }))
}
