"""Transactions that see one org, and the SQL in them.

A transaction is opened by one simple message, which takes no parameters. What is written into its text
are UUIDs that were checked to be some, words of this program, and hex digits.
"""

from contextlib import asynccontextmanager

import asyncpg

from problems import Problem
from settings import DATABASE_URL, DB_POOL

OPEN = """begin isolation level read committed {mode};
select set_config('role', 'mt_app', true), set_config('mt.tenant_id', '{org}', true),
    set_config('mt.principal_id', '{caller}', true), set_config('statement_timeout', '5s', true),
    set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '10s', true);"""

# The lock on the org, for plans with a cap. It is taken before the membership, as in mt-server.
LOCK_ORG = "select 1 from mt.tenants where id = '{org}' for no key update;"

# The caller's role cannot change before this commits. The advisory lock keeps a request that changes it from
# waiting without end behind a member who writes continuously.
LOCK_MEMBERSHIP = """select pg_advisory_xact_lock_shared(hashtextextended('mt.memberships {org} {caller}', 0));
select 1 from mt.memberships where tenant_id = '{org}' and principal_id = '{caller}' for share;"""

# `one` guarantees a row even if nothing else is found.
FACTS = """select u.generation, m.role, t.plan, t.suspension, t.subscription_status, t.past_due_since,
    now() as now{more}
from (select 1) one
left join mt.users u on u.id = $2
left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id
left join mt.tenants t on t.id = m.tenant_id"""

# The facts and the page in one round trip. A caller over their quota does not read tasks.
PAGE = """select u.generation, m.role, t.plan, t.suspension, p.id is not null as project, k.*
from (select 1) one
left join mt.users u on u.id = $2
left join mt.memberships m on m.tenant_id = $1 and m.principal_id = u.id
left join mt.tenants t on t.id = m.tenant_id
left join app.projects p on p.tenant_id = m.tenant_id and p.id = $3
left join lateral (
    select id::text, title, description, status, created_by::text, assigned_to::text, created_at, updated_at
    from app.tasks
    where tenant_id = $1 and project_id = p.id and ($4::text is null or status = $4) and tasks.id < $5
        and $7::bigint <= case t.plan when 'pro' then $9::bigint else $8::bigint end
    order by tasks.id desc limit $6) k on true"""
FIRST = "ffffffff-ffff-ffff-ffff-ffffffffffff"

REFERRED = """,
    exists (select 1 from app.projects p where p.tenant_id = m.tenant_id and p.id = $3) as project,
    $4::uuid is null or exists (
        select 1 from mt.memberships a where a.tenant_id = m.tenant_id and a.principal_id = $4) as assignee"""
TASKS_CAP = 100
COUNTED = f""",
    (select count(*) from (select 1 from app.tasks where tenant_id = $1 limit {TASKS_CAP}) counted) as used"""
FOR_NEW_TASK = FACTS.format(more=REFERRED + ", null::bigint as used")
FOR_NEW_TASK_COUNTED = FACTS.format(more=REFERRED + COUNTED)

# Task, entry in the audit log and commit in one round trip. Texts of users are written as hex digits.
WRITE = """insert into app.tasks (tenant_id, id, project_id, title, description, created_by, assigned_to)
values ('{org}', '{id}', '{project}', {title}, {description}, '{caller}', {assigned_to});
insert into mt.audit_log
    (tenant_id, id, actor_kind, actor_id, action, target_kind, target_id, detail, request_id)
values ('{org}', '{entry}', 'user', '{caller}', 'task.created', 'task', '{id}',
    '{{"project": "{project}"}}', '{request}');
commit"""


def text(value):
    return "null" if value is None else f"convert_from(decode('{value.encode().hex()}', 'hex'), 'utf8')"


def reference(value):
    return "null" if value is None else f"'{value}'"


async def nothing(_connection):
    """Replaces asyncpg's reset, which costs a round trip; every setting here ends with its transaction."""


class Database:
    async def start(self):
        self.pool = await asyncpg.create_pool(
            DATABASE_URL, min_size=DB_POOL, max_size=DB_POOL, max_queries=10**9,
            max_inactive_connection_lifetime=0, max_cached_statement_lifetime=0, reset=nothing,
        )  # fmt: skip

    @asynccontextmanager
    async def transaction(self, org, caller, mode, locks=""):
        """A connection inside a transaction, which its user commits; otherwise it is rolled back."""
        # A timeout needs a task of its own, so only a request that has to wait gets one.
        timeout = None if self.pool.get_idle_size() else 2
        try:
            async with self.pool.acquire(timeout=timeout) as connection:
                await connection.execute((OPEN + locks).format(org=org, caller=caller, mode=mode))
                try:
                    yield connection
                finally:
                    if connection.is_in_transaction():
                        await connection.execute("rollback")
        except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.PostgresConnectionError,
                asyncpg.InterfaceError, OSError, TimeoutError):  # fmt: skip
            raise Problem("unavailable") from None
