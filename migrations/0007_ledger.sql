-- The ledger's other half: attempts that are counted and remembered, bodies that go after a while, and
-- an outbox for what an event asks the world outside to be told.
--
-- The server before this one goes on working: it names none of the new columns.

set local lock_timeout = '2s';

-- Events ----------------------------------------------------------------------------------------
--
-- A claim may take several events along. Its process may be killed by one of them, and then the others
-- are not to blame: an event that was left behind is claimed by itself the next time, and only such
-- attempts, and those that failed, are strikes.

alter table mt.webhook_events
    -- Purged once nothing can need it any more. The row stays: a late copy is still a copy.
    alter column body drop not null,
    add column claimed_at timestamptz,
    add column claimed_alone boolean not null default true,
    add column strikes integer not null default 0,
    add constraint webhook_events_body_check
        check (body is not null or status in ('processed', 'ignored', 'dead')) not valid;
alter table mt.webhook_events validate constraint webhook_events_body_check;

-- What may be purged. Not made concurrently: that would wait for whoever waits to migrate as well.
create index webhook_events_body_idx on mt.webhook_events (received_at)
    where body is not null and status in ('processed', 'ignored', 'dead');

-- Attempts --------------------------------------------------------------------------------------
--
-- One row for each attempt when it has ended, for each that never did when that is found out, and for
-- each time that somebody asked for another.

create table mt.webhook_attempts (
    event    uuid not null constraint webhook_attempts_event_fkey
        references mt.webhook_events (id) on delete cascade,
    seq      bigint generated always as identity,
    -- Counted anew after a replay.
    attempt  integer not null,
    outcome  text not null constraint webhook_attempts_outcome_check check
        (outcome in ('processed', 'ignored', 'failed', 'dead', 'abandoned', 'replay')),
    detail   text constraint webhook_attempts_detail_check check (octet_length(detail) <= 1024),
    -- Who asked for a replay.
    actor    text constraint webhook_attempts_actor_length_check check (octet_length(actor) <= 255),
    began_at timestamptz,
    ended_at timestamptz not null default clock_timestamp(),
    constraint webhook_attempts_pkey primary key (event, seq),
    constraint webhook_attempts_actor_check check ((outcome = 'replay') = (actor is not null))
);

-- Outbox ----------------------------------------------------------------------------------------
--
-- pending ─ claim → sending ─┬─ sent
--    ↑                       ├─ nobody to tell ─→ skipped
--    └─ due ─ not now ───────┴─ out of attempts → dead

create table mt.outbox (
    tenant_id       uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint outbox_tenant_id_fkey references mt.tenants (id) on delete cascade,
    id              uuid not null,
    topic           text not null,
    -- The fact by its natural name: told once, however many events tell of it.
    dedupe_key      text not null,
    payload         jsonb not null,
    status          text not null default 'pending' constraint outbox_status_check
        check (status in ('pending', 'sending', 'sent', 'skipped', 'dead')),
    last_error      text constraint outbox_last_error_check check (octet_length(last_error) <= 1024),
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    lease_token     uuid,
    lease_until     timestamptz,
    created_at      timestamptz not null default now(),
    done_at         timestamptz,
    constraint outbox_pkey primary key (tenant_id, id),
    constraint outbox_dedupe_key unique (tenant_id, dedupe_key),
    constraint outbox_lease_check
        check ((status = 'sending') = (lease_token is not null)
            and (lease_token is null) = (lease_until is null)),
    constraint outbox_done_check
        check ((status in ('sent', 'skipped', 'dead')) = (done_at is not null))
);
create index outbox_due_idx on mt.outbox (next_attempt_at, id) where status in ('pending', 'sending');

-- Row-level security and rights -----------------------------------------------------------------

alter table mt.webhook_attempts enable row level security, force row level security;
alter table mt.outbox enable row level security, force row level security;

create policy system on mt.webhook_attempts to mt_system using (true) with check (true);
create policy system on mt.outbox to mt_system using (true) with check (true);

grant select, insert on mt.webhook_attempts to mt_system;
grant select, insert, update, delete on mt.outbox to mt_system;
