//! The facts that a decision is made on: how they are read, and whether the credential has ended.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::decode::variant;
use super::value::Value;
use crate::access::{
    Access, AccessModel, Facts, PermissionSet, Service, ServiceAccess, Suspension,
};
use crate::auth::Principal;
use crate::billing::{StandingPolicy, SubscriptionStatus};
use crate::id::{IdentityId, ServiceAccountId, TenantId};

/// The columns of the facts that do not depend on the credential. What a custom role grants is read for members who have
/// one.
macro_rules! tenant_facts {
    () => {
        "case when m.role_id is not null then mt.granted_by(m.tenant_id, m.role_id) end \
             as custom_role, \
         t.plan, t.subscription_status, t.past_due_since, t.suspension, now() as now \
         from (select 1) one "
    };
}

/// The columns of the facts of a session.
macro_rules! member_facts {
    () => {
        concat!(
            "select u.generation as mt_generation, u.signed_out_at as mt_signed_out_at, m.role, ",
            tenant_facts!()
        )
    };
}

/// The facts about `$2` in `$1`, read by the role that sees these rows and no others of users, members and tenants.
const FACTS: &str = concat!(
    member_facts!(),
    "left join mt.users u on u.id = $2 \
     left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id \
     left join mt.tenants t on t.id = m.tenant_id"
);

/// The same of a principal that a provider's identity `$3` stands for: once that is unlinked, there is no user.
const FACTS_BY_IDENTITY: &str = concat!(
    member_facts!(),
    "left join mt.identities i on i.id = $3 and i.principal_id = $2 \
     left join mt.users u on u.id = i.principal_id \
     left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id \
     left join mt.tenants t on t.id = m.tenant_id"
);

/// The same of a principal whose credential is the API key `$3`. `$4` is the service account that acts on behalf of the
/// principal with it. Once the key has ended, there is no user and no service account.
const FACTS_BY_KEY: &str = concat!(
    "select case when k.id is null then null when k.user_id is null then 0 else u.generation end as mt_generation, \
     null::timestamptz as mt_signed_out_at, case when k.user_id is null then s.role else m.role end as role, \
     case when k.user_id is not null then s.role end as mt_actor_role, k.permissions as mt_permissions, ",
    tenant_facts!(),
    "left join mt.api_keys k on k.tenant_id = $1 and k.id = $3 and k.revoked_at is null \
         and (k.expires_at is null or k.expires_at > now()) and coalesce(k.user_id, k.service_account_id) = $2 \
         and (k.user_id is null or k.service_account_id is not distinct from $4) \
     left join mt.users u on u.id = k.user_id \
     left join mt.memberships m on m.tenant_id = k.tenant_id and m.principal_id = u.id \
     left join mt.service_accounts s on s.tenant_id = k.tenant_id and s.id = k.service_account_id \
     left join mt.tenants t on t.id = k.tenant_id"
);

/// The same of a principal on whose behalf the service account `$3` acts, with a token. `$4` is the identity that the token
/// stands for, if it stands for one. Once the service account is gone, there is no role.
const FACTS_BY_ACTOR: &str = concat!(
    "select u.generation as mt_generation, u.signed_out_at as mt_signed_out_at, \
     case when s.id is not null then m.role end as role, s.role as mt_actor_role, null::text[] as mt_permissions, ",
    tenant_facts!(),
    "left join mt.identities i on i.id = $4 and i.principal_id = $2 \
     left join mt.users u on u.id = $2 and ($4::uuid is null or i.id is not null) \
     left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id \
     left join mt.service_accounts s on s.tenant_id = $1 and s.id = $3 \
     left join mt.tenants t on t.id = m.tenant_id"
);

/// The facts about the tenant `$1`, for a service.
pub(in crate::pg) const TENANT_FACTS: &str = "select t.plan as mt_plan, t.subscription_status, t.past_due_since, \
     t.suspension, now() as now from mt.tenants t where t.id = $1";

/// The statement that reads the facts of `principal` in `tenant`, and its values.
pub(in crate::pg) fn facts(tenant: TenantId, principal: Principal) -> (&'static str, Vec<Value>) {
    let mut values = vec![tenant.as_uuid().into(), principal.id().as_uuid().into()];
    let identity = principal.identity().map(IdentityId::as_uuid);
    let actor = principal.actor().map(ServiceAccountId::as_uuid);
    match (principal.key(), actor, identity) {
        (None, None, None) => (FACTS, values),
        (None, None, Some(identity)) => {
            values.push(identity.into());
            (FACTS_BY_IDENTITY, values)
        }
        (None, Some(actor), identity) => {
            values.extend([actor.into(), identity.into()]);
            (FACTS_BY_ACTOR, values)
        }
        (Some(key), actor, _) => {
            values.extend([key.as_uuid().into(), actor.into()]);
            (FACTS_BY_KEY, values)
        }
    }
}

/// The statement that reads the session facts of `principal`. Its row is what [`is_signed_out`] decides on.
pub(in crate::pg) fn session_of(principal: Principal) -> String {
    let id = principal.id();
    if let (Some(key), Some(tenant)) = (principal.key(), principal.tenant()) {
        return format!(
            "select case when k.id is null then null when k.user_id is null then 0 else u.generation end \
                 as mt_generation, null::timestamptz as mt_signed_out_at \
             from (select 1) one \
             left join mt.api_keys k on k.tenant_id = '{tenant}' and k.id = '{key}' and k.revoked_at is null \
                 and (k.expires_at is null or k.expires_at > now()) \
                 and coalesce(k.user_id, k.service_account_id) = '{id}' \
             left join mt.users u on u.id = k.user_id"
        );
    }
    let user = match principal.identity() {
        None => format!("left join mt.users u on u.id = '{id}'"),
        Some(identity) => format!(
            "left join mt.identities i on i.id = '{identity}' and i.principal_id = '{id}' \
             left join mt.users u on u.id = i.principal_id"
        ),
    };
    format!(
        "select u.generation as mt_generation, u.signed_out_at as mt_signed_out_at \
         from (select 1) one {user}"
    )
}

/// The decision's facts, as read.
pub(in crate::pg) enum Found<M: AccessModel> {
    Member { access: Access<M>, used: Option<u32> },
    NotAMember,
    SignedOut,
}

/// Whether a row holds facts, and is not of a query that was sent along.
pub(in crate::pg) fn is_facts(row: &PgRow) -> bool {
    row.try_column("mt_generation").is_ok()
}

/// Reads the rows of an opening: the last row of facts counts, and a count comes after it.
pub(in crate::pg) fn read<M: AccessModel>(
    rows: &[PgRow],
    principal: Principal,
    tenant: TenantId,
    policy: &StandingPolicy,
) -> Result<Found<M>, sqlx::Error> {
    let place = rows.iter().rposition(is_facts).ok_or(sqlx::Error::RowNotFound)?;
    let row = &rows[place];
    if is_signed_out(row, principal)? {
        return Ok(Found::SignedOut);
    }
    let Some(role) = row.try_get::<Option<&str>, _>("role")? else {
        return Ok(Found::NotAMember);
    };
    let status = SubscriptionStatus::from_word(row.try_get("subscription_status")?);
    let past_due_since: Option<DateTime<Utc>> = row.try_get("past_due_since")?;
    let custom_role: Option<Vec<String>> = row.try_get("custom_role")?;
    let (actor_role, limit) = credential(row)?;
    let facts = Facts {
        role: variant("role", role)?,
        actor_role,
        custom_role: custom_role
            .map(|granted| PermissionSet::of_known(granted.iter().map(String::as_str))),
        plan: variant("plan", row.try_get("plan")?)?,
        standing: policy.standing(&status, past_due_since, row.try_get("now")?),
        suspension: variant::<Suspension>("suspension", row.try_get("suspension")?)?,
        limit,
    };
    let count = rows[place..].iter().find(|row| row.try_column("used").is_ok());
    let used: Option<i64> = count.map(|row| row.try_get("used")).transpose()?;
    let access = Access::assertion(tenant, principal, facts);
    Ok(Found::Member { access, used: used.map(|n| u32::try_from(n).unwrap_or(u32::MAX)) })
}

/// Reads the role of the service account that acts with the credential, and the most that the credential may use.
fn credential<M: AccessModel>(
    row: &PgRow,
) -> Result<(Option<M::Role>, PermissionSet<M>), sqlx::Error> {
    if row.try_column("mt_permissions").is_err() {
        return Ok((None, PermissionSet::all()));
    }
    let limit = match row.try_get::<Option<Vec<String>>, _>("mt_permissions")? {
        Some(texts) => PermissionSet::of_known(texts.iter().map(String::as_str)),
        None => PermissionSet::all(),
    };
    let actor: Option<&str> = row.try_get("mt_actor_role")?;
    Ok((actor.map(|role| variant("role", role)).transpose()?, limit))
}

/// Reads the row of [`TENANT_FACTS`]; `None` if the tenant is gone.
pub(in crate::pg) fn read_for_service<S: Service>(
    rows: &[PgRow],
    tenant: TenantId,
    policy: &StandingPolicy,
) -> Result<Option<ServiceAccess<S::Model>>, sqlx::Error> {
    let Some(row) = rows.iter().rfind(|row| row.try_column("mt_plan").is_ok()) else {
        return Ok(None);
    };
    let status = SubscriptionStatus::from_word(row.try_get("subscription_status")?);
    let past_due_since: Option<DateTime<Utc>> = row.try_get("past_due_since")?;
    Ok(Some(ServiceAccess {
        tenant,
        service: S::NAME,
        plan: variant("plan", row.try_get("mt_plan")?)?,
        standing: policy.standing(&status, past_due_since, row.try_get("now")?),
        suspension: variant::<Suspension>("suspension", row.try_get("suspension")?)?,
        model: PhantomData,
    }))
}

/// Whether the credential has ended, by a row with the session facts of its user.
pub(in crate::pg) fn is_signed_out(row: &PgRow, principal: Principal) -> Result<bool, sqlx::Error> {
    let signed_out_at = row.try_get("mt_signed_out_at")?;
    Ok(has_ended(row.try_get("mt_generation")?, signed_out_at, principal))
}

/// Whether the user is gone, the credential is of an earlier generation than theirs, or it was issued in the second of
/// their last sign-out or before.
fn has_ended(
    generation: Option<i32>,
    signed_out_at: Option<DateTime<Utc>>,
    principal: Principal,
) -> bool {
    let Some(stored) = generation else { return true };
    let is_old = principal.generation().is_some_and(|issued| issued != stored);
    let was_before = principal
        .issue_time()
        .zip(signed_out_at)
        .is_some_and(|(issued, signed_out)| issued.timestamp() <= signed_out.timestamp());
    is_old || was_before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PrincipalId;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    #[test]
    fn token_of_the_second_of_the_sign_out_has_ended() {
        let session = Principal::new(PrincipalId::generate());
        for (issued, signed_out, ended) in [
            (10_000_000, Some(11_000_000), true),
            (11_000_000, Some(11_000_000), true),
            (11_000_000, Some(11_999_999), true),
            (12_000_000, Some(11_999_999), false),
            (12_000_000, Some(12_000_001), true),
            (10_000_000, None, false),
        ] {
            let token = session.issued_at(at(issued));
            assert_eq!(has_ended(Some(3), signed_out.map(at), token), ended, "{issued}");
            assert!(has_ended(None, signed_out.map(at), token), "the user is gone");
            // A credential without a time is not ended by one.
            assert!(!has_ended(Some(3), signed_out.map(at), session));
        }
    }

    #[test]
    fn credential_of_another_generation_has_ended() {
        let id = PrincipalId::generate();
        let session = Principal::in_generation(id, 3);
        assert!(!has_ended(Some(3), Some(at(5)), session));
        assert!(has_ended(Some(4), None, session));
        assert!(has_ended(Some(4), None, session.issued_at(at(9_000_000))));
        assert!(has_ended(Some(3), Some(at(9_000_000)), session.issued_at(at(9_000_000))));
    }
}
