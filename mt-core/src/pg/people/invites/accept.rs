//! Accepting an invite: a person who is not a member yet becomes one by a token.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::access::{Denied, PermissionSet, Suspension};
use crate::auth::Principal;
use crate::billing::{Standing, StandingPolicy, SubscriptionStatus};
use crate::id::{RoleId, TenantId};
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::MEMBER_JOINED;
use crate::pg::transaction::decode::variant;
use crate::pg::{CapReached, PgError, Resource, SystemTx};
use crate::text_enum::TextEnum as _;
use crate::token::TokenHasher;

/// A membership that an invite gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted<R> {
    /// The tenant joined.
    pub tenant: TenantId,
    /// The role given, or the one that the custom role is based on.
    pub role: R,
    /// The custom role given, if it is one.
    pub custom_role: Option<RoleId>,
}

#[derive(FromRow)]
struct TenantRow {
    plan: String,
    subscription_status: String,
    past_due_since: Option<DateTime<Utc>>,
    suspension: String,
    now: DateTime<Utc>,
}

#[derive(FromRow)]
struct InviteRow {
    id: uuid::Uuid,
    email: String,
    role: String,
    role_id: Option<uuid::Uuid>,
    /// What the custom role grants.
    granted: Option<Vec<String>>,
    inviter_role: Option<String>,
    /// What the custom role of the inviter grants.
    inviter_granted: Option<Vec<String>>,
}

/// Makes `principal` a member by the invite that `token` stands for. Of any number of concurrent
/// attempts one succeeds; a refused one leaves the invite as it was.
///
/// The tenant row is locked first, as everywhere. `S` is the cap on seats; at this point
/// only members count, since the invite's own seat is the one being taken.
///
/// A credential that is bound to one tenant joins none: [`Denied::Forbidden`], whatever the token is.
///
/// # Errors
///
/// [`AcceptError`], decided in the order of its documentation. Do not commit after one.
pub async fn accept<M, S>(
    tx: &mut SystemTx,
    hasher: &TokenHasher,
    standing: &StandingPolicy,
    principal: Principal,
    token: &str,
) -> Result<Accepted<M::Role>, AcceptError>
where
    M: MemberPolicy,
    S: Resource<Model = M>,
{
    if principal.tenant().is_some() {
        return Err(Denied::Forbidden.into());
    }
    let stored_as: Vec<Vec<u8>> =
        hasher.candidates(token).iter().map(|hash| hash.as_bytes().to_vec()).collect();
    // Without a lock: only the tenant to lock is read.
    let tenant: Option<uuid::Uuid> = sqlx::query_scalar(
        "select tenant_id from mt.invites \
         where token_hash = any ($1) or mailed_token_hash = any ($1)",
    )
    .bind(&stored_as)
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    let tenant = tenant.ok_or(AcceptError::Invalid)?;
    let facts: Option<TenantRow> = sqlx::query_as(
        "select plan, subscription_status, past_due_since, suspension, now() as now \
         from mt.tenants where id = $1 for no key update",
    )
    .bind(tenant)
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    let facts = facts.ok_or(AcceptError::Invalid)?;

    let invite = open_invite(tx, tenant, &stored_as).await?.ok_or(AcceptError::Invalid)?;
    let role: M::Role = variant("role", &invite.role).map_err(PgError::from)?;
    // Its maker must be able to give that role now, not only when it was made.
    let inviter: Option<M::Role> = invite
        .inviter_role
        .as_deref()
        .map(|role| variant("role", role))
        .transpose()
        .map_err(PgError::from)?;
    let given = permissions::<M>(role, invite.granted.as_deref());
    let may_invite = |by| {
        let held = permissions(by, invite.inviter_granted.as_deref());
        M::may_invite(by, role) && holds_each(held, [given])
    };
    if !inviter.is_some_and(may_invite) {
        return Err(AcceptError::Invalid);
    }

    let (email, member): (String, bool) = sqlx::query_as(
        "select u.email, exists (select 1 from mt.memberships m \
             where m.tenant_id = $2 and m.principal_id = u.id) \
         from mt.users u where u.id = $1",
    )
    .bind(principal.id().as_uuid())
    .bind(tenant)
    .fetch_one(tx.conn())
    .await
    .map_err(PgError::from)?;
    if email != invite.email {
        return Err(AcceptError::OtherAddress);
    }
    gate(&facts, standing)?;
    if member {
        return Err(AcceptError::AlreadyMember);
    }
    let plan = variant("plan", &facts.plan).map_err(PgError::from)?;
    seat::<M, S>(tx, tenant, plan).await?;

    sqlx::query("update mt.invites set accepted_at = now() where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(invite.id)
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
    sqlx::query(
        "insert into mt.memberships (tenant_id, principal_id, role, is_owner, role_id) \
         values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(principal.id().as_uuid())
    .bind(role.as_str())
    .bind(role == M::OWNER)
    .bind(invite.role_id)
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    let tenant = TenantId::from_uuid(tenant);
    let joined = MEMBER_JOINED.on(principal.id().as_uuid());
    let joined = joined.with("role", role).with_some("role_id", invite.role_id);
    tx.record(tenant, joined.with("invite", invite.id));
    Ok(Accepted { tenant, role, custom_role: invite.role_id.map(RoleId::from_uuid) })
}

/// What a member with `role`, or with a custom role that grants `granted` and is based on it, holds.
fn permissions<M: MemberPolicy>(role: M::Role, granted: Option<&[String]>) -> PermissionSet<M> {
    match granted {
        Some(granted) => PermissionSet::of_known(granted.iter().map(String::as_str)),
        None => PermissionSet::of_role(role),
    }
}

/// The invite as it stands under the tenant's lock, with its maker's role held until the end.
async fn open_invite(
    tx: &mut SystemTx,
    tenant: uuid::Uuid,
    stored_as: &[Vec<u8>],
) -> Result<Option<InviteRow>, PgError> {
    Ok(sqlx::query_as(
        "select i.id, i.email, i.role, i.role_id, g.permissions as granted, \
             coalesce(m.role, s.role) as inviter_role, h.permissions as inviter_granted \
         from mt.invites i \
             left join mt.roles g on g.tenant_id = i.tenant_id and g.id = i.role_id \
             left join lateral (select m.tenant_id, m.role, m.role_id from mt.memberships m \
                 where m.tenant_id = i.tenant_id and m.principal_id = i.invited_by \
                 for share) m on true \
             left join lateral (select s.role from mt.service_accounts s \
                 where s.tenant_id = i.tenant_id and s.id = i.invited_by \
                 for share) s on true \
             left join mt.roles h on h.tenant_id = m.tenant_id and h.id = m.role_id \
         where i.tenant_id = $1 and (i.token_hash = any ($2) or i.mailed_token_hash = any ($2)) \
             and i.accepted_at is null and i.revoked_at is null and i.expires_at > now() \
         for update of i",
    )
    .bind(tenant)
    .bind(stored_as)
    .fetch_optional(tx.conn())
    .await?)
}

/// Whether the tenant may gain members at present.
fn gate(facts: &TenantRow, policy: &StandingPolicy) -> Result<(), AcceptError> {
    let suspension: Suspension = variant("suspension", &facts.suspension).map_err(PgError::from)?;
    if suspension != Suspension::None {
        return Err(Denied::Suspended.into());
    }
    let status = SubscriptionStatus::from_word(&facts.subscription_status);
    match policy.standing(&status, facts.past_due_since, facts.now) {
        Standing::Lapsed => Err(Denied::PaymentRequired.into()),
        Standing::Good | Standing::Grace => Ok(()),
    }
}

/// Whether a seat is free. The tenant row is held, so it stays free.
async fn seat<M: MemberPolicy, S: Resource<Model = M>>(
    tx: &mut SystemTx,
    tenant: uuid::Uuid,
    plan: M::Plan,
) -> Result<(), AcceptError> {
    let Some(cap) = S::cap(plan) else { return Ok(()) };
    let members: i64 = sqlx::query_scalar(
        "select count(*) from ( \
             select 1 from mt.memberships where tenant_id = $1 limit $2) members",
    )
    .bind(tenant)
    .bind(i64::from(cap))
    .fetch_one(tx.conn())
    .await
    .map_err(PgError::from)?;
    if members < i64::from(cap) {
        Ok(())
    } else {
        Err(CapReached { resource: S::NAME, cap }.into())
    }
}

/// Why an invite was not accepted, in the order in which it is decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Unknown, expired, revoked or used; or its maker may no longer give that role; or the tenant is
    /// gone. The answer does not tell which.
    #[error("invite is invalid")]
    Invalid,
    /// It was sent to another address.
    #[error("invite was sent to another address")]
    OtherAddress,
    /// The tenant is suspended or has lapsed. Or, before anything else, the credential is bound to one
    /// tenant.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller is a member already and keeps their role.
    #[error("already a member")]
    AlreadyMember,
    /// No seat is free.
    #[error(transparent)]
    CapReached(#[from] CapReached),
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}
