-- Jobs: work without a request, enqueued by the transaction that wants it.
--
--  insert ─┬─ due ────────→ ready ─ claim → running ─┬─ effect and mark, one transaction ─→ done
--          │                  ↑ ↑              │ │   ├─ refused, or out of attempts ──────→ dead
--          └─ later → scheduled │   lease over │ │   └─ by a tenant or an operator ───────→ cancelled
--                       ↑       └──────────────┘ │
--                       └── failed or deferred ──┘

set local lock_timeout = '2s';

create table mt.jobs (
    tenant_id     uuid not null references mt.tenants (id) on delete cascade,
    id            uuid not null,
    kind          text not null,
    payload       jsonb not null,
    status        text not null default 'ready'
        check (status in ('scheduled', 'ready', 'running', 'done', 'dead', 'cancelled')),
    -- The order of claims: see mt.queue_job().
    turn          bigint,
    -- When it may run next.
    run_at        timestamptz not null default now(),
    -- When it was to run first. Its age counts from here.
    due_at        timestamptz not null default now(),
    -- Counted when an attempt begins.
    attempts      integer not null default 0,
    -- Attempts that failed, or that ended with their lease because their process was killed.
    failures      integer not null default 0,
    lease_token   uuid,
    lease_until   timestamptz,
    -- One unfinished job of its kind has this key.
    unique_key    text,
    -- The authority that it was enqueued with. Whether that still suffices is decided when it runs.
    authority     text not null,
    principal_id  uuid,
    -- What else tells whether the principal's credential has ended.
    credential    jsonb,
    service       text,
    -- The request that enqueued it.
    request_id    text,
    progress_done  bigint,
    progress_total bigint,
    last_error    text,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,
    done_at       timestamptz,
    primary key (tenant_id, id),
    constraint jobs_kind_check check (octet_length(kind) between 1 and 255),
    constraint jobs_unique_key_check check (octet_length(unique_key) between 1 and 255),
    constraint jobs_last_error_check check (octet_length(last_error) <= 1024),
    constraint jobs_turn_check check (status <> 'ready' or turn is not null),
    constraint jobs_lease_check check ((status = 'running') = (lease_token is not null)
        and (lease_token is null) = (lease_until is null)),
    constraint jobs_done_check check ((status in ('done', 'dead', 'cancelled')) = (done_at is not null)),
    constraint jobs_authority_check check (
        case authority
            when 'principal' then principal_id is not null and service is null
            when 'service' then principal_id is null and service is not null
            when 'both' then principal_id is not null and service is not null
            else false
        end and (principal_id is null) = (credential is null))
);
-- The order of claims, across tenants.
create index jobs_ready_idx on mt.jobs (turn, id) where status = 'ready';
-- The last turn of a tenant.
create index jobs_turn_idx on mt.jobs (tenant_id, turn) where turn is not null;
-- A job by its id, and the newest first, for operators.
create index jobs_id_idx on mt.jobs (id);
create index jobs_scheduled_idx on mt.jobs (run_at, id) where status = 'scheduled';
create index jobs_running_idx on mt.jobs (lease_until) where status = 'running';
create unique index jobs_unique_idx on mt.jobs (tenant_id, kind, unique_key)
    where unique_key is not null and status in ('scheduled', 'ready', 'running');
-- Dead jobs, for operators, and what may be deleted by age.
create index jobs_dead_idx on mt.jobs (id) where status = 'dead';
create index jobs_done_idx on mt.jobs (done_at) where done_at is not null;

-- The order of claims -------------------------------------------------------------------------------
--
-- Start-time fair queuing. The clock is the turn of the job that was claimed last. A job that becomes ready gets the
-- later of the clock and the turn after its tenant's last one, so a tenant's queue stretches into the future while
-- another tenant's first job is due now. Jobs that were claimed count too: a tenant that enqueues its next job when the
-- last one is done waits its turn. The clock is a sequence, because a row that every claim updates would make
-- claims wait for each other; a claim that sets it back a little does no harm.

create sequence mt.job_clock minvalue 0 start 0 no cycle;
select setval('mt.job_clock', 0);

create function mt.job_clock_now() returns bigint language sql security definer
    set search_path = pg_catalog, pg_temp
    return pg_catalog.pg_sequence_last_value('mt.job_clock'::pg_catalog.regclass);
revoke execute on function mt.job_clock_now() from public;
grant execute on function mt.job_clock_now() to mt_app, mt_system;

-- Gives a new job its turn. A transaction that could choose it could keep other tenants waiting.
create function mt.queue_job() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    new.due_at := new.run_at;
    if new.run_at > now() then
        new.status := 'scheduled';
        new.turn := null;
    else
        new.status := 'ready';
        new.turn := greatest(mt.job_clock_now(), 1 + coalesce(
            (select j.turn from mt.jobs j where j.tenant_id = new.tenant_id and j.turn is not null
                order by j.turn desc limit 1), -1));
    end if;
    return new;
end $$;
revoke execute on function mt.queue_job() from public;
create trigger jobs_queue before insert on mt.jobs for each row execute function mt.queue_job();

-- Schedules ----------------------------------------------------------------------------------------
--
-- How far each schedule has come: the tick whose jobs are being enqueued, and for which tenants they are. A page of jobs
-- and this row are one transaction, so that each tenant gets one job for each tick.

create table mt.job_schedules (
    name        text primary key constraint job_schedules_name_check check (octet_length(name) between 1 and 255),
    tick        timestamptz not null,
    -- The last tenant of the pages that are enqueued. Null: none is.
    reached     uuid,
    is_finished boolean not null
);

-- The mark of a run --------------------------------------------------------------------------------
--
-- The last statement of a run's transaction. It fails, and the transaction with it, if the lease is another attempt's by
-- now or the job was cancelled.

create function mt.finish_job(job uuid, token uuid) returns void language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    update mt.jobs j set status = 'done', lease_token = null, lease_until = null, last_error = null,
        done_at = clock_timestamp()
    where j.tenant_id = mt.sealed_tenant_id() and j.id = job and j.status = 'running' and j.lease_token = token;
    if not found then
        raise exception 'the lease of the job is over' using errcode = 'MT003';
    end if;
end $$;
revoke execute on function mt.finish_job(uuid, uuid) from public;
grant execute on function mt.finish_job(uuid, uuid) to mt_app;

-- Row-level security and privileges ----------------------------------------------------------------
--
-- A tenant's transaction adds jobs, in its own principal's name at most, sees them, and ends them. It chooses neither
-- status nor turn.

alter table mt.jobs enable row level security, force row level security;
alter table mt.job_schedules enable row level security, force row level security;

create policy system on mt.jobs to mt_system using (true) with check (true);
create policy system on mt.job_schedules to mt_system using (true) with check (true);
create policy tenant on mt.jobs for select to mt_app
    using (tenant_id = (select mt.sealed_tenant_id()));
create policy tenant_adds on mt.jobs for insert to mt_app
    with check (tenant_id = (select mt.sealed_tenant_id())
        and (principal_id is null or principal_id = (select mt.sealed_principal_id())));
create policy tenant_ends on mt.jobs for update to mt_app
    using (tenant_id = (select mt.sealed_tenant_id()) and status in ('scheduled', 'ready', 'running'))
    with check (tenant_id = (select mt.sealed_tenant_id()) and status in ('done', 'cancelled'));

grant select, insert, update, delete on mt.jobs, mt.job_schedules to mt_system;
grant select on mt.jobs to mt_app;
grant insert (tenant_id, id, kind, payload, run_at, unique_key, authority, principal_id, credential, service, request_id)
    on mt.jobs to mt_app;
grant update (status, lease_token, lease_until, last_error, done_at) on mt.jobs to mt_app;
grant select, update on sequence mt.job_clock to mt_system;
