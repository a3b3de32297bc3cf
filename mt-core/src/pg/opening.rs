//! The one message that opens a transaction: mode, role, limits, tenant, locks and facts.
//!
//! All of it fits in one round trip of the simple protocol, which takes no parameters. What is
//! written into the text is therefore limited to UUIDs, which print as hex digits and hyphens, and to
//! words that are `&'static str` in this crate or in the embedder's.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::database::{APP_ROLE, SYSTEM_ROLE};
use super::decode::word;
use crate::access::{Access, AccessModel, Effect, Facts, Suspension};
use crate::auth::Principal;
use crate::billing::{StandingPolicy, SubscriptionStatus};
use crate::id::TenantId;

/// Bounds on what one transaction may take from everybody else. `alter role … set` would not do:
/// those apply at login, and these roles are entered by `set local role`.
const LIMITS: &str = "set_config('statement_timeout', '5s', true), \
     set_config('lock_timeout', '2s', true), \
     set_config('idle_in_transaction_session_timeout', '10s', true)";

/// Which rows are locked before the facts are read. Always in this order: tenant, membership.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Locks {
    /// None: for reading.
    None,
    /// The caller's membership, shared: their role cannot change before this commits.
    Membership,
    /// The tenant row, exclusively among its kind, and then the membership.
    TenantAndMembership,
}

/// The opening of a transaction of `principal` in `tenant`. Its last row holds the facts.
pub(super) fn of_tenant(
    tenant: TenantId,
    principal: Principal,
    effect: Effect,
    locks: Locks,
    count: Option<Count>,
) -> String {
    let mode = match effect {
        Effect::Read => "read only",
        Effect::Write => "read write",
    };
    let principal = principal.id();
    let mut sql = format!(
        "begin isolation level read committed {mode}; \
         select set_config('role', '{APP_ROLE}', true), \
             set_config('mt.tenant_id', '{tenant}', true), \
             set_config('mt.principal_id', '{principal}', true), {LIMITS}; "
    );
    if locks == Locks::TenantAndMembership {
        _ = write!(sql, "select 1 from mt.tenants where id = '{tenant}' for no key update; ");
    }
    if locks != Locks::None {
        let gate = gate(format_args!("'{tenant}'"), format_args!("'{principal}'"));
        _ = write!(
            sql,
            "select pg_advisory_xact_lock_shared({gate}); \
             select 1 from mt.memberships \
             where tenant_id = '{tenant}' and principal_id = '{principal}' for share; "
        );
    }
    _ = write!(sql, "{}", facts(tenant, principal, count));
    sql
}

/// Bounds on a transaction that reads a whole tenant out, to somebody who may be slow.
const SNAPSHOT_LIMITS: &str = "set_config('statement_timeout', '10min', true), \
     set_config('lock_timeout', '2s', true), \
     set_config('idle_in_transaction_session_timeout', '1min', true), \
     set_config('TimeZone', 'UTC', true)";

/// The opening of a snapshot of `tenant`, for `principal`. Its last row holds the facts.
pub(super) fn of_snapshot(tenant: TenantId, principal: Principal) -> String {
    let principal = principal.id();
    format!(
        "begin isolation level repeatable read read only; \
         select set_config('role', '{APP_ROLE}', true), \
             set_config('mt.tenant_id', '{tenant}', true), \
             set_config('mt.principal_id', '{principal}', true), {SNAPSHOT_LIMITS}; {}",
        facts(tenant, principal, None)
    )
}

/// The opening of a snapshot of `tenant`, for nobody in it. Its last row says whether there is one.
pub(super) fn of_system_snapshot(tenant: TenantId) -> String {
    format!(
        "begin isolation level repeatable read read only; \
         select set_config('role', '{APP_ROLE}', true), \
             set_config('mt.tenant_id', '{tenant}', true), \
             set_config('mt.principal_id', '', true), {SNAPSHOT_LIMITS}; \
         select exists (select 1 from mt.tenants where id = '{tenant}') as found"
    )
}

/// The key of a membership's gate, as SQL over SQL: an advisory lock in front of the row's own.
///
/// Whoever shares a row lock does not queue behind somebody who waits to change the row, so a member who
/// writes without a pause could put off their own removal for ever. Advisory locks are given out in
/// order. Writers share the gate before they share the row; who is to change or delete the membership
/// closes it first.
pub(super) fn gate(tenant: impl fmt::Display, principal: impl fmt::Display) -> String {
    format!("hashtextextended('mt.memberships ' || {tenant} || ' ' || {principal}, 0)")
}

/// One statement that reads the facts of a membership, without a transaction to go with it: several
/// statements in one simple message are a transaction of their own, which ends with the message.
pub(super) fn of_look(tenant: TenantId, principal: Principal) -> String {
    let principal = principal.id();
    format!(
        "select set_config('transaction_read_only', 'on', true), \
             set_config('role', '{APP_ROLE}', true), \
             set_config('mt.tenant_id', '{tenant}', true), \
             set_config('mt.principal_id', '{principal}', true), {LIMITS}; {}",
        facts(tenant, principal, None)
    )
}

/// The opening of a transaction of `principal` in no tenant. Its last row holds the generation.
pub(super) fn of_principal(principal: Principal) -> String {
    let bound_to = principal.tenant().map_or_else(String::new, |tenant| tenant.to_string());
    let principal = principal.id();
    format!(
        "begin isolation level read committed read only; \
         select set_config('role', '{APP_ROLE}', true), \
             set_config('mt.tenant_id', '', true), \
             set_config('mt.bound_tenant_id', '{bound_to}', true), \
             set_config('mt.principal_id', '{principal}', true), {LIMITS}; \
         select (select generation from mt.users where id = '{principal}') as generation"
    )
}

/// The opening of a transaction across tenants.
pub(super) fn of_system() -> String {
    format!(
        "begin isolation level read committed read write; \
         select set_config('role', '{SYSTEM_ROLE}', true), \
             set_config('mt.tenant_id', '', true), \
             set_config('mt.principal_id', '', true), {LIMITS}"
    )
}

/// The opening of a transaction that deletes a whole tenant: others wait for none of its rows.
pub(super) fn of_erasure() -> String {
    format!("{}; select set_config('statement_timeout', '10min', true)", of_system())
}

/// A count of rows up to a bound, taken in the statement after the lock: an earlier snapshot would
/// not see what the holder before us committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) rows: &'static str,
    pub(super) up_to: u32,
}

fn facts(tenant: TenantId, principal: crate::id::PrincipalId, count: Option<Count>) -> String {
    let used = count.map_or_else(
        || "null::bigint".to_owned(),
        |Count { rows, up_to }| {
            format!("(select count(*) from (select 1 from ({rows}) r limit {up_to}) counted)")
        },
    );
    // `one` makes sure of a row, whatever is not there.
    format!(
        "select u.generation, m.role, t.plan, t.subscription_status, t.past_due_since, \
             t.suspension, now() as now, {used} as used \
         from (select 1) one \
         left join mt.users u on u.id = '{principal}' \
         left join mt.memberships m on m.tenant_id = '{tenant}' and m.principal_id = u.id \
         left join mt.tenants t on t.id = m.tenant_id"
    )
}

/// What the facts row says.
pub(super) enum Found<M: AccessModel> {
    Member { access: Access<M>, used: Option<u32> },
    NotAMember,
    SignedOut,
}

/// Reads the last row of an opening.
pub(super) fn read<M: AccessModel>(
    rows: &[PgRow],
    principal: Principal,
    tenant: TenantId,
    policy: &StandingPolicy,
) -> Result<Found<M>, sqlx::Error> {
    let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
    if signed_out(row.try_get("generation")?, principal) {
        return Ok(Found::SignedOut);
    }
    let Some(role) = row.try_get::<Option<&str>, _>("role")? else {
        return Ok(Found::NotAMember);
    };
    let status = SubscriptionStatus::from_word(row.try_get("subscription_status")?);
    let past_due_since: Option<DateTime<Utc>> = row.try_get("past_due_since")?;
    let facts = Facts {
        role: word("role", role)?,
        plan: word("plan", row.try_get("plan")?)?,
        standing: policy.standing(&status, past_due_since, row.try_get("now")?),
        suspension: word::<Suspension>("suspension", row.try_get("suspension")?)?,
    };
    let used: Option<i64> = row.try_get("used")?;
    let access = Access::assertion(tenant, principal, facts);
    Ok(Found::Member { access, used: used.map(|n| u32::try_from(n).unwrap_or(u32::MAX)) })
}

/// Whether the user is gone or the credential is of an earlier generation than theirs.
pub(super) fn signed_out(stored: Option<i32>, principal: Principal) -> bool {
    match (stored, principal.generation()) {
        (None, _) => true,
        (Some(stored), Some(issued)) => stored != issued,
        (Some(_), None) => false,
    }
}
