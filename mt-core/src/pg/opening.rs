//! The one message that opens a transaction: mode, role, limits, tenant, locks and facts.
//!
//! All of it fits in one round trip of the simple protocol. What reads or locks is planned once a connection
//! (see [`Message`]): planning the facts under row-level security takes ten times as long as reading them. What
//! is written into other texts is limited to UUIDs, which print as hex digits and hyphens, and to words that
//! are `&'static str` in this crate or in the embedder's.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::database::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
use super::decode::word;
use super::exchange::Mode;
use super::message::Message;
use super::query::Value;
use crate::access::{Access, AccessModel, Effect, Facts, Suspension};
use crate::auth::Principal;
use crate::billing::{StandingPolicy, SubscriptionStatus};
use crate::id::TenantId;

/// The message that opens a transaction, and what it says about the exchanges to come.
pub(super) struct Opening {
    pub(super) message: Message,
    pub(super) mode: Mode,
    /// How long Postgres may be silent. Longer than each statement may take, so that Postgres speaks
    /// first unless it cannot: a server that is stopped or out of reach keeps no `statement_timeout`.
    pub(super) within: Duration,
}

impl Opening {
    fn new(mode: Mode, begin: &'static str) -> Self {
        Self { message: Message::default().say(begin), mode, within: ANSWERED_WITHIN }
    }

    /// One statement in a transaction of its own.
    pub(super) fn alone(mode: Mode, sql: impl Into<Cow<'static, str>>) -> Self {
        Self { message: Message::default().say(sql), mode, within: ANSWERED_WITHIN }
    }

    /// A transaction that only reads, as the login and in no tenant.
    pub(super) fn of_looking() -> Self {
        Self::new(Mode::Read, "begin read only")
    }

    /// Goes on with `sql`. See [`Message::say`].
    pub(super) fn say(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.message = self.message.say(sql);
        self
    }

    /// Goes on with a statement that is prepared once. See [`Message::run`].
    pub(super) fn run(mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        self.message = self.message.run(sql, values);
        self
    }

    fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// How a transaction begins that changes nothing.
const READ: &str = "begin isolation level read committed read only";
/// How one begins that may. It does not say `read write`: an operator may have set the database read-only.
const WRITE: &str = "begin isolation level read committed";

/// More than `statement_timeout` and `lock_timeout` together.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// The same, for statements that may take ten minutes.
const LONG_ANSWERED_WITHIN: Duration = Duration::from_secs(605);

/// Bounds on what one transaction may take from everybody else. `alter role … set` would not do:
/// those apply at login, and these roles are entered by `set local role`.
const LIMITS: &str = "set local statement_timeout = '5s'; set local lock_timeout = '2s'; \
     set local idle_in_transaction_session_timeout = '10s'";

/// Becomes `role`, for `principal` in `tenant`; an empty text is nobody, and no tenant.
///
/// Plain settings: to read their text costs Postgres less than to run a plan that calls `set_config`, and
/// they answer without rows.
fn enter(role: &'static str, tenant: impl fmt::Display, principal: impl fmt::Display) -> String {
    format!(
        "set local role {role}; set local mt.tenant_id = '{tenant}'; \
         set local mt.principal_id = '{principal}'; {LIMITS}"
    )
}

/// The facts about `$2` in `$1`, read by the role that sees these three rows and no other.
const FACTS: &str = "select u.generation, m.role, t.plan, t.subscription_status, t.past_due_since, \
     t.suspension, now() as now \
     from (select 1) one \
     left join mt.users u on u.id = $2 \
     left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id \
     left join mt.tenants t on t.id = m.tenant_id";

/// Then the transaction is that of a member.
const GO_ON: &str = "set local role mt_app";

/// How many rows come before those of a query, where nothing is locked: the facts.
pub(super) const ROWS_OF_A_READ: usize = 1;

/// One plan for all values. Left to itself, Postgres plans a list anew each time where it thinks that values
/// make a difference, and they make none to a query that walks an index of its tenant.
pub(super) const PLANNED_ONCE: &str = "set local plan_cache_mode = force_generic_plan";

/// The mutex of the tenant `$1`.
const LOCK_TENANT: &str = "select 1 from mt.tenants where id = $1 for no key update";

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

/// The opening of a transaction of `principal` in `tenant`. See [`read`] for what it returns.
pub(super) fn of_tenant(
    tenant: TenantId,
    principal: Principal,
    effect: Effect,
    locks: Locks,
    count: Option<Count>,
) -> Opening {
    let ids = || ids(tenant, principal);
    let mut message = match effect {
        Effect::Read => Opening::new(Mode::Read, READ),
        Effect::Write => Opening::new(Mode::Write, WRITE),
    };
    if locks == Locks::None {
        message = message.say(enter(AUTHORITY_ROLE, tenant, principal.id()));
    } else {
        message = message.say(enter(APP_ROLE, tenant, principal.id()));
        if locks == Locks::TenantAndMembership {
            message = message.run(LOCK_TENANT, vec![tenant.as_uuid().into()]);
        }
        let gate = gate("$1::text", "$2::text");
        message = message
            .run(format!("select pg_advisory_xact_lock_shared({gate})"), ids())
            .run(
                "select 1 from mt.memberships where tenant_id = $1 and principal_id = $2 for share",
                ids(),
            )
            .say("set local role mt_authority");
    }
    message = message.run(FACTS, ids()).say(GO_ON);
    match count {
        None => message,
        Some(Count { rows, up_to }) => message.run(
            format!(
                "select count(*) as used from (select 1 from ({rows}) r limit {up_to}) counted"
            ),
            vec![],
        ),
    }
}

/// What most statements here are about: `$1` and `$2`.
fn ids(tenant: TenantId, principal: Principal) -> Vec<Value> {
    vec![tenant.as_uuid().into(), principal.id().as_uuid().into()]
}

/// How a transaction begins that reads a whole tenant out, as it is at one moment.
const SNAPSHOT: &str = "begin isolation level repeatable read read only";

/// Bounds on it: it is for somebody who may be slow.
const SNAPSHOT_LIMITS: &str = "set local statement_timeout = '10min'; \
     set local idle_in_transaction_session_timeout = '1min'; set local timezone = 'UTC'";

/// The opening of a snapshot of `tenant`, for `principal`. Its last row holds the facts.
pub(super) fn of_snapshot(tenant: TenantId, principal: Principal) -> Opening {
    Opening::new(Mode::Read, SNAPSHOT)
        .within(LONG_ANSWERED_WITHIN)
        .say(enter(AUTHORITY_ROLE, tenant, principal.id()))
        .say(SNAPSHOT_LIMITS)
        .run(FACTS, ids(tenant, principal))
        .say(GO_ON)
}

/// The opening of a snapshot of `tenant`, for nobody in it. Its last row says whether there is one.
pub(super) fn of_system_snapshot(tenant: TenantId) -> Opening {
    Opening::new(Mode::Read, SNAPSHOT)
        .within(LONG_ANSWERED_WITHIN)
        .say(enter(APP_ROLE, tenant, ""))
        .say(SNAPSHOT_LIMITS)
        .say(format!("select exists (select 1 from mt.tenants where id = '{tenant}') as found"))
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

/// A transaction that reads the facts of a membership, and that is all.
pub(super) fn of_look(tenant: TenantId, principal: Principal) -> Opening {
    Opening::new(Mode::Read, READ)
        .say(enter(AUTHORITY_ROLE, tenant, principal.id()))
        .run(FACTS, ids(tenant, principal))
        .say("commit")
}

/// The opening of a transaction of `principal` in no tenant. Its last row holds the generation.
pub(super) fn of_principal(principal: Principal) -> Opening {
    let bound_to = principal.tenant().map_or_else(String::new, |tenant| tenant.to_string());
    let principal = principal.id();
    Opening::new(Mode::Read, READ).say(enter(APP_ROLE, "", principal)).say(format!(
        "set local mt.bound_tenant_id = '{bound_to}'; \
         select (select generation from mt.users where id = '{principal}') as generation"
    ))
}

/// The opening of a transaction across tenants.
pub(super) fn of_system() -> Opening {
    Opening::new(Mode::Write, WRITE).say(enter(SYSTEM_ROLE, "", ""))
}

/// The opening of a transaction that deletes a whole tenant: others wait for none of its rows.
pub(super) fn of_erasure() -> Opening {
    of_system().say("set local statement_timeout = '10min'").within(LONG_ANSWERED_WITHIN)
}

/// A count of rows up to a bound, taken in the statement after the lock: an earlier snapshot would
/// not see what the holder before us committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) rows: &'static str,
    pub(super) up_to: u32,
}

/// What the facts row says.
pub(super) enum Found<M: AccessModel> {
    Member { access: Access<M>, used: Option<u32> },
    NotAMember,
    SignedOut,
}

/// Reads the rows of an opening: the last one that has a `generation` holds the facts, and a count stands
/// behind it.
pub(super) fn read<M: AccessModel>(
    rows: &[PgRow],
    principal: Principal,
    tenant: TenantId,
    policy: &StandingPolicy,
) -> Result<Found<M>, sqlx::Error> {
    let is_facts = |row: &PgRow| row.try_column("generation").is_ok();
    let place = rows.iter().rposition(is_facts).ok_or(sqlx::Error::RowNotFound)?;
    let row = &rows[place];
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
    let count = rows[place..].last().filter(|row| row.try_column("used").is_ok());
    let used: Option<i64> = count.map(|row| row.try_get("used")).transpose()?;
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
