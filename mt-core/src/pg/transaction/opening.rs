//! The one message that opens a transaction: mode, role, limits, tenant, locks and facts.
//!
//! All of it fits in one round trip of the simple protocol. What reads or locks is planned once a connection
//! (see [`Batch`]): planning the facts under row-level security takes ten times as long as reading them. What
//! is written into other texts is limited to UUIDs, which print as hex digits and hyphens, and to words that
//! are `&'static str` in this crate or in the embedder's.

use std::borrow::Cow;
use std::time::Duration;

use uuid::Uuid;

use super::batch::Batch;
use super::exchange::Mode;
use super::facts::{TENANT_FACTS, facts, session_of};
use super::gate;
use super::seal::{self, Entrant};
use super::tx_settings::Isolation;
use super::value::Value;
use crate::access::Effect;
use crate::auth::{Principal, PrincipalKind};
use crate::id::{ServiceAccountId, TenantId};
use crate::pg::connection::logins::Login;
use crate::pg::idempotency::IdempotentRequest;
use crate::shares::Requester;

/// The message that opens a transaction, and how the transaction goes on.
pub(in crate::pg) struct Opening {
    pub(in crate::pg) batch: Batch,
    pub(in crate::pg) mode: Mode,
    /// How long Postgres may be silent, if not as long as the settings allow.
    pub(in crate::pg) within: Option<Duration>,
    /// The requester that a seat is taken for; `None` for a transaction of the system, which takes none.
    pub(in crate::pg) requester: Option<Requester>,
    /// The login whose connection it is sent on.
    pub(in crate::pg) login: Login,
}

impl Opening {
    /// A transaction with the isolation level of the settings.
    fn new(mode: Mode) -> Self {
        Self::with(mode, Batch::default().begin(mode, None))
    }

    /// A transaction that relies on seeing, in each statement, what was committed before it.
    fn read_committed(mode: Mode) -> Self {
        Self::with(mode, Batch::default().begin(mode, Some(Isolation::ReadCommitted)))
    }

    const fn with(mode: Mode, batch: Batch) -> Self {
        Self { batch, mode, within: None, requester: None, login: Login::App }
    }

    /// Uses the share of `requester`.
    pub(in crate::pg) fn by(mut self, requester: Requester) -> Self {
        self.requester = Some(requester);
        self
    }

    /// One statement in a transaction of its own.
    pub(in crate::pg) fn alone(mode: Mode, sql: impl Into<Cow<'static, str>>) -> Self {
        Self::with(mode, Batch::default().text(sql))
    }

    /// A transaction that only reads, as the login and in no tenant.
    pub(in crate::pg) fn of_looking(login: Login) -> Self {
        Self::alone(Mode::Read, "begin read only").on(login)
    }

    /// On a connection of `login`.
    const fn on(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// Goes on as `entrant`, with the limits of a transaction.
    fn enter(mut self, entrant: Entrant) -> Self {
        self.batch = self.batch.enter(entrant).limits();
        self
    }

    /// Goes on with `sql`. See [`Batch::text`].
    pub(in crate::pg) fn text(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.batch = self.batch.text(sql);
        self
    }

    /// Goes on with a statement that is prepared once. See [`Batch::statement`].
    pub(in crate::pg) fn statement(
        mut self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Self {
        self.batch = self.batch.statement(sql, values);
        self
    }

    /// Goes on with all of `message`.
    pub(in crate::pg) fn then(mut self, batch: Batch) -> Self {
        self.batch = self.batch.then(batch);
        self
    }

    fn limits(mut self) -> Self {
        self.batch = self.batch.limits();
        self
    }

    const fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }
}

/// How long Postgres may be silent in statements that may take ten minutes.
const LONG_ANSWERED_WITHIN: Duration = Duration::from_secs(605);

/// The role that reads what a decision is made on.
const AS_AUTHORITY: &str = "set local role mt_authority";
/// The role of a member or a principal, which every transaction of theirs goes on as.
const AS_APP: &str = "set local role mt_app";
/// The role that sees all tenants, in none of them. Limits are set as in other transactions.
const AS_SYSTEM: &str = "set local role mt_system; set local mt.tenant_id = ''; set local mt.principal_id = ''; \
     set local mt.seal = ''";

/// How many rows come before those of a query, where nothing is locked: the facts.
pub(in crate::pg) const ROWS_OF_A_READ: usize = 1;

/// One plan for all values. Left to itself, Postgres plans a list anew each time where it thinks that values
/// make a difference, and they make none to a query that walks an index of its tenant.
pub(in crate::pg) const PLANNED_ONCE: &str = "set local plan_cache_mode = force_generic_plan";

/// The mutex of the tenant `$1`.
const LOCK_TENANT: &str = "select 1 from mt.tenants where id = $1 for no key update";
/// Fails if the tenant was changed after the first statement of a transaction that goes on seeing what was there before it.
const HOLD_TENANT: &str = "select 1 from mt.tenants where id = $1 for share";
/// The caller's membership cannot change before this commits.
const HOLD_MEMBERSHIP: &str =
    "select 1 from mt.memberships where tenant_id = $1 and principal_id = $2 for share";

/// The service account `$2` cannot change before this commits.
const HOLD_SERVICE_ACCOUNT: &str =
    "select 1 from mt.service_accounts where tenant_id = $1 and id = $2 for key share";
/// The API key `$2` cannot change before this commits, but for the time of its last use.
const HOLD_KEY: &str = "select 1 from mt.api_keys where tenant_id = $1 and id = $2 for key share";

/// Which rows are locked before the facts are read. Always in this order: tenant, membership, service account, key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pg) enum Locks {
    /// None: for reading.
    None,
    /// The caller's membership, shared: their role cannot change before this commits.
    Membership,
    /// The tenant row, exclusively among its kind, and then the membership.
    TenantAndMembership,
}

/// A transaction of `principal` in `tenant`.
pub(in crate::pg) struct TenantOpening<'r> {
    pub(in crate::pg) tenant: TenantId,
    pub(in crate::pg) principal: Principal,
    pub(in crate::pg) effect: Effect,
    pub(in crate::pg) locks: Locks,
    pub(in crate::pg) count: Option<Count>,
    /// The request that this transaction carries out, if its sender may repeat it.
    pub(in crate::pg) request: Option<&'r IdempotentRequest>,
    pub(in crate::pg) isolation: Isolation,
}

impl TenantOpening<'_> {
    /// The message that opens it. See [`facts::read`](super::facts::read) for what it returns.
    pub(in crate::pg) fn opening(&self) -> Opening {
        let &Self { tenant, principal, effect, locks, count, request, isolation } = self;
        let ids = || ids(tenant, principal);
        let entrant = Entrant::member(tenant, principal);
        let mut opening = match (effect, locks) {
            (Effect::Read, _) => Opening::new(Mode::Read),
            (Effect::Write, Locks::TenantAndMembership) => Opening::read_committed(Mode::Write),
            (Effect::Write, _) => Opening::new(Mode::Write),
        };
        if locks == Locks::None {
            opening = opening.text(AS_AUTHORITY).enter(entrant);
        } else {
            opening = opening.text(AS_APP).enter(entrant);
            if locks == Locks::TenantAndMembership {
                opening = opening.statement(LOCK_TENANT, vec![tenant.as_uuid().into()]);
            }
            opening = opening.statement(gate::pass(), ids());
            if let Some(actor) = principal.actor() {
                let ids = vec![tenant.as_uuid().into(), actor.as_uuid().into()];
                opening = opening.statement(gate::pass(), ids);
            }
            if locks == Locks::Membership && isolation != Isolation::ReadCommitted {
                opening = opening.statement(HOLD_TENANT, vec![tenant.as_uuid().into()]);
            }
            opening = hold_credential(opening.statement(HOLD_MEMBERSHIP, ids()), tenant, principal)
                .text(AS_AUTHORITY);
        }
        let (facts, values) = facts(tenant, principal);
        opening = opening.statement(facts, values).text(AS_APP);
        if let Some(Count { rows, up_to }) = count {
            opening = opening.statement(
                format!(
                    "select count(*) as used from (select 1 from ({rows}) r limit {up_to}) counted"
                ),
                vec![],
            );
        }
        match request {
            None => opening,
            Some(request) => opening.text(request.find_in(tenant, principal.id())),
        }
    }
}

/// The opening of a transaction of a service in `tenant`. Its last row holds the facts, if the tenant exists.
///
/// The gate of the tenant alone keeps a deletion or a suspension waiting: there is no membership to hold.
pub(in crate::pg) fn of_service(tenant: TenantId, effect: Effect, isolation: Isolation) -> Opening {
    let id = || vec![tenant.as_uuid().into()];
    let entrant = Entrant::service(tenant);
    let opening = match effect {
        Effect::Read => Opening::new(Mode::Read).text(AS_AUTHORITY).enter(entrant),
        Effect::Write => {
            let gated = Opening::new(Mode::Write).text(AS_APP).enter(entrant);
            let gated = gated.statement(gate::pass_tenant(), id());
            let held = match isolation {
                Isolation::ReadCommitted => gated,
                _ => gated.statement(HOLD_TENANT, id()),
            };
            held.text(AS_AUTHORITY)
        }
    };
    opening.statement(TENANT_FACTS, id()).text(AS_APP)
}

/// Holds what else the credential of `principal` rests on: a service account, a key.
fn hold_credential(mut opening: Opening, tenant: TenantId, principal: Principal) -> Opening {
    let ids = |id: Uuid| vec![tenant.as_uuid().into(), id.into()];
    let account = match principal.kind() {
        PrincipalKind::ServiceAccount => Some(principal.id().as_uuid()),
        PrincipalKind::User => principal.actor().map(ServiceAccountId::as_uuid),
    };
    if let Some(account) = account {
        opening = opening.statement(HOLD_SERVICE_ACCOUNT, ids(account));
    }
    match principal.key() {
        Some(key) => opening.statement(HOLD_KEY, ids(key.as_uuid())),
        None => opening,
    }
}

/// What most statements here are about: `$1` and `$2`.
fn ids(tenant: TenantId, principal: Principal) -> Vec<Value> {
    vec![tenant.as_uuid().into(), principal.id().as_uuid().into()]
}

/// How a transaction begins that reads a whole tenant out, as it is at one moment.
const SNAPSHOT: &str = "begin isolation level repeatable read read only";

/// Its limits. The client that it is read for may be slow.
const SNAPSHOT_LIMITS: &str = "set local statement_timeout = '10min'; \
     set local idle_in_transaction_session_timeout = '1min'; set local timezone = 'UTC'";

/// The opening of a snapshot of `tenant`, for `principal`. Its last row holds the facts.
pub(in crate::pg) fn of_snapshot(tenant: TenantId, principal: Principal) -> Opening {
    let (facts, values) = facts(tenant, principal);
    Opening::alone(Mode::Read, SNAPSHOT)
        .within(LONG_ANSWERED_WITHIN)
        .text(AS_AUTHORITY)
        .enter(Entrant::member(tenant, principal))
        .text(SNAPSHOT_LIMITS)
        .statement(facts, values)
        .text(AS_APP)
}

/// The opening of a snapshot of `tenant` for no member of it. Its last row shows whether the tenant exists.
pub(in crate::pg) fn of_system_snapshot(tenant: TenantId) -> Opening {
    Opening::alone(Mode::Read, SNAPSHOT)
        .on(Login::System)
        .within(LONG_ANSWERED_WITHIN)
        .then(going_on_in(None).then(going_on_in(Some(tenant))))
        .limits()
        .text(SNAPSHOT_LIMITS)
        .text(format!("select exists (select 1 from mt.tenants where id = '{tenant}') as found"))
}

/// A transaction of `principal` that only reads, in one tenant after the other, and uses the principal's own share. See
/// [`into_tenant`].
pub(in crate::pg) fn of_reading(principal: Principal) -> Opening {
    Opening::new(Mode::Read).by(Requester::Principal(principal.id())).limits()
}

/// Reads the facts of `principal` in `tenant`, and goes on there as a member.
pub(in crate::pg) fn into_tenant(tenant: TenantId, principal: Principal) -> Batch {
    let (facts, values) = facts(tenant, principal);
    Batch::default()
        .text(AS_AUTHORITY)
        .enter(Entrant::member(tenant, principal))
        .statement(facts, values)
        .text(AS_APP)
}

/// A transaction that reads the facts of a membership, and that is all.
pub(in crate::pg) fn of_access(tenant: TenantId, principal: Principal) -> Opening {
    let (facts, values) = facts(tenant, principal);
    Opening::new(Mode::Read)
        .text(AS_AUTHORITY)
        .enter(Entrant::member(tenant, principal))
        .statement(facts, values)
        .text("commit")
}

/// The opening of a transaction of `principal` in no tenant. Its last row is that of [`session_of`].
pub(in crate::pg) fn of_principal(principal: Principal) -> Opening {
    Opening::new(Mode::Read)
        .text(AS_AUTHORITY)
        .enter(Entrant::principal(principal))
        .text(session_of(principal))
        .text(AS_APP)
}

/// The opening of a transaction across tenants.
pub(in crate::pg) fn of_system() -> Opening {
    Opening::read_committed(Mode::Write).on(Login::System).text(AS_SYSTEM).limits()
}

/// The opening of a transaction across tenants that only reads.
pub(in crate::pg) fn of_system_read() -> Opening {
    Opening::new(Mode::Read).on(Login::System).text(AS_SYSTEM).limits()
}

/// Goes on with a transaction across tenants as a member of `tenant` would, or across tenants again.
pub(in crate::pg) fn going_on_in(tenant: Option<TenantId>) -> Batch {
    let message = Batch::default();
    match tenant {
        None => message.text(AS_SYSTEM),
        Some(tenant) => message.text(format!("call mt.enter_as_system('{tenant}')")).text(AS_APP),
    }
}

/// Reads the key of the seal, in a transaction of its own.
pub(in crate::pg) fn of_seal_key() -> Opening {
    Opening::new(Mode::Read).on(Login::System).text(AS_SYSTEM).text(seal::READ_KEY).text("commit")
}

/// Finds the identity of a subject at an issuer, in a transaction of its own.
#[cfg(feature = "openid")]
pub(in crate::pg) fn of_identity(issuer: &str, subject: &str) -> Opening {
    let values = vec![Value::free("text", issuer), Value::free("text", subject)];
    Opening::new(Mode::Read)
        .on(Login::System)
        .text(AS_SYSTEM)
        .limits()
        .statement(
            "select id, principal_id from mt.identities where issuer = $1 and subject = $2",
            values,
        )
        .text("commit")
}

/// Finds an API key by the hashes under which it may be stored, in a transaction of its own.
pub(in crate::pg) fn of_api_key(digests: &[[u8; 32]]) -> Opening {
    let digest = |place: usize| {
        digests.get(place).map_or(Value::null("bytea"), |digest| Value::bytes(digest))
    };
    Opening::new(Mode::Read)
        .on(Login::System)
        .text(AS_SYSTEM)
        .limits()
        .statement(
            "select tenant_id, id, user_id, service_account_id from mt.api_keys \
             where digest in ($1, $2) and revoked_at is null and (expires_at is null or expires_at > now())",
            vec![digest(0), digest(1)],
        )
        .text("commit")
}

/// The opening of a transaction that deletes a whole tenant: others wait for none of its rows.
pub(in crate::pg) fn of_erasure() -> Opening {
    of_system().text("set local statement_timeout = '10min'").within(LONG_ANSWERED_WITHIN)
}

/// A count of rows up to a bound, taken in the statement after the lock: an earlier snapshot would
/// not see what the holder before us committed.
#[derive(Clone, Copy, Debug)]
pub(in crate::pg) struct Count {
    pub(in crate::pg) rows: &'static str,
    pub(in crate::pg) up_to: u32,
}
