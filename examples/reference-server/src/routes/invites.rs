//! Invites: made, listed and taken back in an org, accepted outside of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::InviteId;
use mt_core::pg::invites::{self, Invite, InviteStatus, InviteTerms};
use mt_core::pg::ledger::outbox::Lane;
use mt_core::pg::{SystemReason, Tenant};
use mt_core::text_enum::TextEnum as _;
use mt_mail::token_link;
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::once::{Once, again, response_of};
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::caller::{Caller, InOrg};
use crate::http::fields::{self, Email, Token};
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::problems::{
    AlreadyMember, BillingRequired, CapReached, Conflict, Forbidden, InviteInvalid, OrgSuspended,
    RateLimited,
};
use crate::http::text_enum::AsText;
use crate::model::{InvitesCreate, InvitesRead, InvitesRevoke, Product, Role, Seats};

const ACCEPT: SystemReason = SystemReason::new("accept an invite");

/// The minimum time between two mails of an invite: an invite that is repeated before is not mailed again.
const MAIL_INTERVAL: Duration = Duration::from_mins(1);

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
    role: AsText<Role>,
    status: AsText<InviteStatus>,
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
            role: AsText(invite.role),
            status: AsText(invite.status),
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
    #[salvo(schema(value_type = AsText<Role>))]
    role: Role,
}

/// Invites a person by e-mail. A second invite to the same address replaces the token.
///
/// Within a minute of the first e-mail no second one is sent; its token then stays valid beside the new one.
#[endpoint(tags("invites"), responses(AlreadyMember, CapReached))]
async fn create(
    org: InOrg<InvitesCreate>,
    once: Once<NewInvite>,
    depot: &mut Depot,
) -> Result<Created<InviteView>, ApiError> {
    let app = App::of(depot);
    app.mailer.accepts(once.body.email.as_address())?;
    let begin = app.tenants.begin(org.0).exclusive().capped::<Seats>();
    let (mut tx, cap) = begin.idempotent(once.request()).await?;
    if let Some(stored) = tx.stored_response()? {
        return again(stored);
    }
    let (email, role) = (once.body.email.as_address(), once.body.role);
    let mail_interval = app.mailer.is_configured().then_some(MAIL_INTERVAL);
    let terms = InviteTerms { ttl: app.invite_ttl, mail_interval };
    let made = invites::invite(&mut tx, cap, &app.hasher, email, role, terms).await?;
    let org = Tenant::load(&mut tx).await?;
    if made.is_mail_due {
        // Last, when nothing else refuses the invite any more; what is refused here leaves nothing behind.
        let (plan, sender) = (tx.access().plan(), tx.principal().id());
        if let Err(refused) = app.mail_limits.invite(email, (org.id, plan), sender).await {
            tx.rollback().await?;
            return Err(refused.into());
        }
        let (ttl, now) = (app.invite_ttl, SystemClock.now());
        let url = token_link(&app.base_url, "/invites/accept", &made.token);
        let message = app.mailer.invite(&url, &org.name, role.as_str(), ttl, now);
        let conn = tx.execute_unaudited::<InvitesCreate>();
        app.mailer.enqueue(conn, Some(org.id), email, message).await?;
    }
    let path = format!("/orgs/{}/invites/{}", org.id, made.invite.id);
    let mut view = InviteView::from(made.invite);
    view.token = app.reveal_tokens.then(|| made.token.reveal().to_owned());
    let created = Created::new(&path, &view);
    tx.store_response(&response_of(&created)?).await?;
    tx.commit().await?;
    app.mailer.wake_up(Lane::Main).notify();
    Ok(created)
}

/// Lists the invites of the org.
#[endpoint(tags("invites"))]
async fn list(
    org: InOrg<InvitesRead>,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<InviteView>, ApiError> {
    let app = App::of(depot);
    let page = page.of(&app.cursors, &format!("invites:{}", org.0.tenant()))?;
    let before = page.after().map(InviteId::from_uuid);
    let invites = invites::list(app.tenants.read(org.0), before, page.fetch()).await?;
    let invites = invites.into_iter().map(InviteView::from).collect();
    Ok(page.answer(invites, |invite| invite.id))
}

/// Revokes an invite.
#[endpoint(tags("invites"), responses(Conflict))]
async fn revoke(
    org: InOrg<InvitesRevoke>,
    invite_id: PathId,
    depot: &mut Depot,
) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
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
    role: AsText<Role>,
}

/// Accepts an invite and joins the org.
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
    Ok(Json(Joined { org_id: accepted.tenant.as_uuid(), role: AsText(accepted.role) }))
}
