//! Invites: made, listed and revoked in a tenant, accepted outside of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{AccessModel, Permission, Reads, Writes};
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::id::{InviteId, RoleId};
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::invites::{self, Invite, InviteStatus, InviteTerms};
use mt_core::pg::ledger::outbox::Lane;
use mt_core::pg::{Resource, SystemReason, Tenant};
use mt_core::text_enum::TextEnum as _;
use mt_mail::token_link;
use mt_tower::problem::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::member_role::{NamedRoleView, given, named_role, present_id, present_role};
use crate::answer::{Answer, Object, created, from_stored, json, no_content, to_stored};
use crate::call::Call;
use crate::fields::{ADDRESS, Email, MAX_ADDRESS, Token};
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, date_time, id, text, text_like, words};
use crate::operation::Operation;
use crate::page::PageQuery;
use crate::problems::invalid_fields;
use crate::{Noun, mail_limits, pages};

const ACCEPT: SystemReason = SystemReason::new("accept an invite");

/// The minimum time between two mails of an invite: an invite that is repeated before is not mailed again.
const MAIL_INTERVAL: Duration = Duration::from_mins(1);

/// Invites: `GET` and `POST …/invites`, `DELETE …/invites/{invite_id}`, the page `GET /invites/accept` behind the link in
/// the mail, and `POST /invites/accept`.
#[derive(Clone, Copy, Debug)]
pub struct Invites<R, C, D, S> {
    /// The permission to list them.
    pub read: R,
    /// The permission to create them.
    pub create: C,
    /// The permission to revoke them.
    pub revoke: D,
    /// The cap on members and open invites.
    pub seats: S,
}

impl<M, R, C, D, S> Group<M> for Invites<R, C, D, S>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    C: Permission<Model = M, Effect = Writes>,
    D: Permission<Model = M, Effect = Writes>,
    S: Resource<Model = M>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let all = format!("{}/invites", noun.item_path());
        let one = format!("{all}/{{invite_id}}");
        let word = noun.one();
        Operations(vec![
            Operation::new(
                Method::GET,
                all.clone(),
                about("list", format!("Lists the invites of the {word}.")).pages_of(&invite::<M>()),
                |call| Box::pin(list::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(Method::POST, all, about_create::<M>(), |call| {
                Box::pin(create::<M, C, S>(call))
            })
            .needs::<C>(),
            Operation::new(
                Method::DELETE,
                one,
                about("revoke", "Revokes an invite.".to_owned())
                    .path_id("invite_id", "invite")
                    .gives_nothing()
                    .may(&["conflict"]),
                |call| Box::pin(revoke::<M, D>(call)),
            )
            .needs::<D>(),
            Operation::new(Method::GET, pages::INVITE_PATH, about_page(), |call| {
                Box::pin(async move { Ok(call.context.options.invite_page.to_response()) })
            }),
            Operation::new(Method::POST, pages::INVITE_PATH, about_accept::<M>(noun), |call| {
                Box::pin(accept::<M, S>(call))
            })
            .behind(Guarded::AcceptInvite),
        ])
    }
}

fn about(id: &str, text: String) -> Description {
    Description::new(format!("invites.{id}"), "invites", text)
}

fn invite<M: AccessModel>() -> Schema {
    Schema::new("Invite")
        .with("id", id())
        .with("email", text())
        .with("role", words::<M::Role>())
        .optional("custom_role", named_role())
        .with("status", words::<InviteStatus>())
        .with("expires_at", date_time())
        .optional("token", text())
}

fn about_create<M: AccessModel>() -> Description {
    let mut email = text_like(ADDRESS);
    email["maxLength"] = json!(MAX_ADDRESS);
    let text = "Invites a person by e-mail. A second invite to the same address replaces the token.\n\n\
        Within a minute of the first e-mail no second one is sent; its token then stays valid beside the new one.";
    about("create", text.to_owned())
        .takes(
            Schema::new("NewInvite")
                .described("With a built-in role as `role`, or a custom one as `role_id`.")
                .with("email", email)
                .optional("role", words::<M::Role>())
                .optional("role_id", id())
                .closed(),
        )
        .repeatable()
        .creates(invite::<M>())
        .may(&["already-member", "cap-reached"])
}

fn about_page() -> Description {
    let text =
        "The page of an invitation. It accepts the invite once the visitor has signed in on it.";
    Description::new("accept.show", "invites", text).gives_page()
}

fn about_accept<M: AccessModel>(noun: Noun) -> Description {
    let joined = Schema::new("Joined")
        .with(noun.id_name(), id())
        .with("role", words::<M::Role>())
        .optional("role_id", id());
    let problems = [
        "already-member",
        "billing-required",
        "cap-reached",
        "forbidden",
        "invite-invalid",
        "tenant-suspended",
    ];
    about("accept_invite", format!("Accepts an invite and joins the {}.", noun.one()))
        .takes(Schema::new("Acceptance").with("token", text_like(r"^[^\u0000]*$")).closed())
        .gives(200, "Joined.", joined)
        .may(&problems)
}

#[derive(Serialize)]
struct InviteView {
    id: Uuid,
    email: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_role: Option<NamedRoleView>,
    status: &'static str,
    expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl InviteView {
    fn of<M: AccessModel>(invite: Invite<M::Role>) -> Self {
        Self {
            id: invite.id.as_uuid(),
            email: invite.email,
            role: invite.role.as_str(),
            custom_role: invite.custom_role.map(NamedRoleView::from),
            status: invite.status.as_str(),
            expires_at: invite.expires_at,
            token: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct NewInvite<M: AccessModel> {
    email: Email,
    #[serde(default, deserialize_with = "present_role")]
    role: Option<M::Role>,
    #[serde(default, deserialize_with = "present_id")]
    role_id: Option<RoleId>,
}

async fn create<M, C, S>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    C: Permission<Model = M, Effect = Writes>,
    S: Resource<Model = M>,
{
    let request = call.access::<C>()?;
    let (NewInvite::<M> { email, role, role_id }, repeatable) = call.json_once().await?;
    let role = given(role, role_id)?.ok_or_else(|| {
        invalid_fields(vec![FieldError::new("/role", "is required, or `role_id`")])
    })?;
    let (context, email) = (call.context, email.as_address());
    let options = &context.options;
    mail_limits::check_address(&options.mailer, email)?;
    let begin = context.tenants.begin(request).exclusive().capped::<S>();
    let (mut tx, cap) = begin.idempotent(repeatable.as_ref()).await?;
    if let Some(stored) = tx.stored_response()? {
        return Ok(from_stored(stored)?);
    }
    let mail_interval = options.mailer.is_configured().then_some(MAIL_INTERVAL);
    let terms = InviteTerms { ttl: options.invites_live_for, mail_interval };
    let made = invites::invite(&mut tx, cap, &options.hasher, email, role, terms).await?;
    let tenant = Tenant::load(&mut tx).await?;
    if made.is_mail_due {
        // Last, when nothing else refuses the invite any more; what is refused here leaves nothing behind.
        let (plan, sender) = (tx.access().plan().as_str(), tx.principal().id());
        if let Some(limits) = &options.mail_limits
            && let Err(refused) = limits.invite(email, (tenant.id, plan), sender).await
        {
            tx.rollback().await?;
            return Err(refused.into());
        }
        let (ttl, now) = (options.invites_live_for, SystemClock.now());
        let url = token_link(&options.base_url, pages::INVITE_PATH, &made.token);
        // Not the name of a custom role: members choose it, and the mail may go to a stranger.
        let role = made.invite.role.as_str();
        let message = options.mailer.invite(&url, &tenant.name, role, ttl, now);
        let conn = tx.execute_unaudited::<C>();
        options.mailer.enqueue(conn, Some(tenant.id), email, message).await?;
    }
    let path = format!("{}/{}/invites/{}", context.noun.list_path(), tenant.id, made.invite.id);
    let mut view = InviteView::of::<M>(made.invite);
    view.token = options.reveals_tokens.then(|| made.token.reveal().to_owned());
    let answer = created(&path, &view);
    tx.store_response(&to_stored(&answer)?).await?;
    tx.commit().await?;
    options.mailer.wake_up(Lane::Main).notify();
    Ok(answer)
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let query = PageQuery::read(&call.parts.uri)?;
    let page = call.page(query, &format!("invites:{}", request.tenant()))?;
    let before = page.after().map(InviteId::from_uuid);
    let invites = invites::list(call.context.tenants.read(request), before, page.fetch()).await?;
    let invites = invites.into_iter().map(InviteView::of::<M>).collect();
    Ok(json(&page.answer(invites, |invite: &InviteView| invite.id)))
}

async fn revoke<M: AccessModel, D: Permission<Model = M, Effect = Writes>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<D>()?;
    let invite = InviteId::from_uuid(call.path_id("invite_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    invites::revoke(&mut tx, invite).await?;
    tx.commit().await?;
    Ok(no_content())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    token: Token,
}

async fn accept<M: MemberPolicy, S: Resource<Model = M>>(mut call: Call<'_, M>) -> Answer {
    let caller = call.caller()?;
    let Acceptance { token } = call.json().await?;
    let (context, options) = (call.context, &call.context.options);
    let mut tx = context.system.begin_for(caller, ACCEPT).await?;
    let accepted = invites::accept::<M, S>(
        &mut tx,
        &options.hasher,
        &options.standing,
        caller,
        token.as_str(),
    )
    .await?;
    tx.commit().await?;
    let mut joined = Object::new()
        .with(context.noun.id_name(), accepted.tenant.to_string())
        .with("role", accepted.role.as_str());
    if let Some(custom) = accepted.custom_role {
        joined = joined.with("role_id", custom.to_string());
    }
    Ok(json(&joined))
}
