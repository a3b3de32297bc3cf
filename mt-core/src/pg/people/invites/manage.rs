//! What members do with invites: make, list, take back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Invite, InviteStatus};
use crate::access::{AccessModel, Permission};
use crate::email::EmailAddress;
use crate::id::{InviteId, RoleId};
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::{INVITE_CREATED, INVITE_RENEWED, INVITE_REVOKED};
use crate::pg::people::roles::{self, MemberRole, NamedRole};
use crate::pg::transaction::decode::variant;
use crate::pg::{
    BeginError, Cap, CapPermit, CapReached, Exclusive, PgError, Resource, TenantRead, TenantTx,
    query_as,
};
use crate::text_enum::TextEnum;
use crate::token::{SecretToken, TokenHasher};

/// An invite that was just made.
#[derive(Debug)]
pub struct NewInvite<R> {
    /// The invite.
    pub invite: Invite<R>,
    /// The only copy of its token.
    pub token: SecretToken,
    /// Whether to mail the token. `false`: a mail was sent within the mail interval, and the token in it stays valid.
    pub is_mail_due: bool,
}

/// How long an invite lives, and how often it is mailed.
#[derive(Clone, Copy, Debug)]
pub struct InviteTerms {
    /// How long it may be accepted.
    pub ttl: Duration,
    /// The minimum time between two mails of an invite: an invite that is repeated before sends no mail. `None`:
    /// invites are not mailed, and a repeated one always voids the token before it.
    pub mail_interval: Option<Duration>,
}

#[derive(FromRow)]
struct Row {
    id: uuid::Uuid,
    email: String,
    role: String,
    role_id: Option<uuid::Uuid>,
    role_name: Option<String>,
    status: String,
    expires_at: DateTime<Utc>,
}

impl Row {
    fn into_invite<R: TextEnum>(self) -> Result<Invite<R>, PgError> {
        Ok(Invite {
            id: InviteId::from_uuid(self.id),
            email: self.email,
            role: variant("role", &self.role)?,
            custom_role: NamedRole::from_columns(self.role_id, self.role_name),
            status: variant::<InviteStatus>("status", &self.status)?,
            expires_at: self.expires_at,
        })
    }
}

/// The role type of `P`'s model.
type RoleOf<P> = <<P as Permission>::Model as AccessModel>::Role;

/// Invites `email` as `role`, built-in or custom. Asking again for the same address keeps the invite and turns its token: the ones
/// before are void, with one exception. Within the [mail interval](InviteTerms::mail_interval) no other mail is
/// sent, so the token in the last mail stays valid beside the new one until a later mail replaces it or the
/// invite ends. Either token gives the role that the invite has when it is accepted.
///
/// `cap` comes with a transaction that was begun [`exclusive`](crate::pg::Begin::exclusive) and
/// [`capped`](crate::pg::Begin::capped); an invite that holds a seat already needs no permit.
///
/// # Errors
///
/// [`InviteError`], in the order: no such role, not allowed, already a member, cap reached.
pub async fn invite<P, S>(
    tx: &mut TenantTx<P, Exclusive>,
    cap: Cap<S>,
    hasher: &TokenHasher,
    email: &EmailAddress,
    role: impl Into<MemberRole<RoleOf<P>>>,
    terms: InviteTerms,
) -> Result<NewInvite<RoleOf<P>>, InviteError>
where
    P: Permission,
    P::Model: MemberPolicy,
    S: Resource<Model = P::Model>,
{
    let given = roles::resolve(tx, role.into()).await?.ok_or(InviteError::UnknownRole)?;
    let role = given.role();
    if !tx.access().each_role(|by| <P::Model as MemberPolicy>::may_invite(by, role))
        || !holds_each(tx.access().permissions(), [given.permissions()])
    {
        return Err(InviteError::Forbidden);
    }
    let role_id = given.id().map(RoleId::as_uuid);
    let role_name = given.named().map(|custom| custom.name);
    let (tenant, inviter) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
    let (member, pending, is_mailed): (bool, bool, bool) = sqlx::query_as(
        "select exists (select 1 from mt.memberships m join mt.users u on u.id = m.principal_id \
                 where m.tenant_id = $1 and u.email = $2), \
             exists (select 1 from mt.invites where tenant_id = $1 and email = $2 \
                 and accepted_at is null and revoked_at is null and expires_at > now()), \
             exists (select 1 from mt.invites where tenant_id = $1 and email = $2 \
                 and accepted_at is null and revoked_at is null \
                 and mailed_at > now() - make_interval(secs => $3))",
    )
    .bind(tenant)
    .bind(email.as_str())
    .bind(terms.mail_interval.unwrap_or_default().as_secs_f64())
    .fetch_one(tx.conn())
    .await
    .map_err(PgError::from)?;
    if member {
        return Err(InviteError::AlreadyMember);
    }
    if !pending {
        let CapPermit { .. } = cap.permit()?;
    }
    let token = SecretToken::generate();
    let hash = hasher.hash(token.reveal());
    let is_mail_due = !is_mailed;
    // The hash of the mailed token, or none where invites are not mailed. It does not change within the mail interval.
    let mailed = terms.mail_interval.map(|_interval| hash.as_bytes());
    // Two statements, because `on conflict` would need the right to read stored tokens. The tenant row
    // is locked, so no other change comes in between.
    let turned: Option<Row> = sqlx::query_as(if is_mail_due {
        "update mt.invites set role = $3, token_hash = $4, invited_by = $5, \
             expires_at = now() + make_interval(secs => $6), \
             mailed_token_hash = $7, mailed_at = case when $7 is not null then now() end, role_id = $8 \
         where tenant_id = $1 and email = $2 and accepted_at is null and revoked_at is null \
         returning id, email, role, role_id, $9::text as role_name, 'pending' as status, expires_at"
    } else {
        "update mt.invites set role = $3, token_hash = $4, invited_by = $5, \
             expires_at = now() + make_interval(secs => $6), role_id = $8 \
         where tenant_id = $1 and email = $2 and accepted_at is null and revoked_at is null \
             and $7::bytea is not null \
         returning id, email, role, role_id, $9::text as role_name, 'pending' as status, expires_at"
    })
    .bind(tenant)
    .bind(email.as_str())
    .bind(role.as_str())
    .bind(hash.as_bytes())
    .bind(inviter)
    .bind(terms.ttl.as_secs_f64())
    .bind(mailed)
    .bind(role_id)
    .bind(&role_name)
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    if let Some(row) = turned {
        tx.record(INVITE_RENEWED.on(row.id).with("role", role).with_some("role_id", role_id));
        return Ok(NewInvite { invite: row.into_invite()?, token, is_mail_due });
    }
    let id = InviteId::generate().as_uuid();
    let row: Row = sqlx::query_as(
        "insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at, \
             mailed_token_hash, mailed_at, role_id) \
         values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), \
             $8, case when $8 is not null then now() end, $9) \
         returning id, email, role, role_id, $10::text as role_name, 'pending' as status, expires_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(email.as_str())
    .bind(role.as_str())
    .bind(hash.as_bytes())
    .bind(inviter)
    .bind(terms.ttl.as_secs_f64())
    .bind(mailed)
    .bind(role_id)
    .bind(role_name)
    .fetch_one(
        tx.changing(INVITE_CREATED.on(id).with("role", role).with_some("role_id", role_id)),
    )
    .await
    .map_err(PgError::from)?;
    Ok(NewInvite { invite: row.into_invite()?, token, is_mail_due })
}

/// Returns the tenant's invites in one round trip, newest first, after the one named by `before`.
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
    before: Option<InviteId>,
    limit: i64,
) -> Result<Vec<Invite<RoleOf<P>>>, BeginError> {
    let rows = query_as::<Row>(
        "select id, email, role, role_id, expires_at, \
             case when role_id is not null then (select r.name from mt.roles r \
                 where r.tenant_id = invites.tenant_id and r.id = invites.role_id) end as role_name, \
             case when accepted_at is not null then 'accepted' \
                 when revoked_at is not null then 'revoked' \
                 when expires_at <= now() then 'expired' \
                 else 'pending' end as status \
         from mt.invites where tenant_id = $1 and ($2::uuid is null or id < $2) \
         order by id desc limit $3",
    )
    .bind(read.tenant().as_uuid())
    .bind(before.map(InviteId::as_uuid))
    .bind(limit)
    .fetch_all(read)
    .await?;
    Ok(rows.into_iter().map(Row::into_invite).collect::<Result<_, PgError>>()?)
}

/// Takes an invite back. Doing it again, or to one that has expired, changes nothing and succeeds.
///
/// # Errors
///
/// [`RevokeError`].
pub async fn revoke<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    invite: InviteId,
) -> Result<(), RevokeError> {
    let tenant = tx.tenant().as_uuid();
    let accepted: Option<bool> = sqlx::query_scalar(
        "select accepted_at is not null from mt.invites where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(invite.as_uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(PgError::from)?;
    match accepted {
        None => return Err(RevokeError::NotFound),
        Some(true) => return Err(RevokeError::Accepted),
        Some(false) => {}
    }
    sqlx::query(
        "update mt.invites set revoked_at = now() \
         where tenant_id = $1 and id = $2 and revoked_at is null",
    )
    .bind(tenant)
    .bind(invite.as_uuid())
    .execute(tx.changing(INVITE_REVOKED.on(invite.as_uuid())))
    .await
    .map_err(PgError::from)?;
    Ok(())
}

/// Why an invite was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The address belongs to a member.
    #[error("already a member")]
    AlreadyMember,
    /// No seat is free.
    #[error(transparent)]
    CapReached(#[from] CapReached),
    /// The caller's role may not give that role.
    #[error("role may not invite as that role")]
    Forbidden,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The tenant has no such custom role.
    #[error("no such role")]
    UnknownRole,
}

/// Why an invite was not taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It was accepted; remove the member instead.
    #[error("invite was accepted")]
    Accepted,
    /// No such invite here.
    #[error("no such invite")]
    NotFound,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}
