-- The webhook ledger and the outbox. They know no provider; `provider` is a name.
--
-- Events belong to a provider's customer and not to a tenant, so only mt_system sees them.

-- Events ------------------------------------------------------------------------------------------
--
-- received ─ lease → processing ─ effect and mark in one transaction → processed
--                        ├─ nothing to do ───────────────────────────→ ignored
--                        ├─ to be retried ───────────────────────────→ failed ─ due → lease …
--                        └─ out of attempts or time ─────────────────→ dead
-- A processing event whose lease has ended is due again.
--
-- A worker may lease several events at once, and one of them may kill its process. The others are not to blame: an
-- event that was left behind is leased alone the next time. Only such attempts, and attempts that failed, count as
-- failures.

create table mt.webhook_events (
    id               uuid primary key,
    provider         text not null,
    event_id         text not null,
    type             text not null,
    account          text not null default '',
    livemode         boolean not null default false,
    api_version      text,
    event_created    timestamptz,
    object_id        text,
    customer_id      text,
    -- The bytes whose signature was verified. Purged when no attempt can need them any more; the row stays, so that a
    -- late duplicate is still recognised.
    body             bytea,
    status           text not null default 'received'
        check (status in ('received', 'processing', 'processed', 'failed', 'dead', 'ignored')),
    -- A word for machines, and a line for people. Neither contains any part of the body.
    reason           text,
    last_error       text check (octet_length(last_error) <= 1024),
    deliveries       integer not null default 1,
    -- Counted when an attempt begins.
    attempts         integer not null default 0,
    -- Failed attempts, and attempts that never ended and had leased the event alone. So an event that kills its process
    -- runs out of attempts too.
    failures         integer not null default 0,
    next_attempt_at  timestamptz not null default now(),
    leased_at        timestamptz,
    leased_alone     boolean not null default true,
    lease_token      uuid,
    lease_until      timestamptz,
    received_at      timestamptz not null default now(),
    last_delivery_at timestamptz not null default now(),
    processed_at     timestamptz,
    constraint webhook_events_event_key unique (provider, event_id),
    constraint webhook_events_body_check
        check (body is not null or status in ('processed', 'ignored', 'dead')),
    constraint webhook_events_lease_check
        check ((status = 'processing') = (lease_token is not null)
            and (lease_token is null) = (lease_until is null)),
    constraint webhook_events_processed_check
        check ((status = 'processed') = (processed_at is not null))
);
create index webhook_events_due_idx on mt.webhook_events (next_attempt_at, id)
    where status in ('received', 'processing', 'failed');
create index webhook_events_waiting_idx on mt.webhook_events (provider, customer_id)
    where status = 'failed';
create index webhook_events_status_idx on mt.webhook_events (status, id desc);
-- Bodies that may be purged.
create index webhook_events_body_idx on mt.webhook_events (received_at)
    where body is not null and status in ('processed', 'ignored', 'dead');

-- Attempts ----------------------------------------------------------------------------------------
--
-- A row for each attempt that ended, written at its end; for each attempt that never ended, written when that is found
-- out; and for each replay that an operator requested.

create table mt.webhook_attempts (
    event    uuid not null references mt.webhook_events (id) on delete cascade,
    seq      bigint generated always as identity,
    -- Begins anew after a replay.
    attempt  integer not null,
    outcome  text not null
        check (outcome in ('processed', 'ignored', 'failed', 'dead', 'abandoned', 'replay')),
    detail   text check (octet_length(detail) <= 1024),
    -- The operator who requested a replay.
    actor    text constraint webhook_attempts_actor_length_check check (octet_length(actor) <= 255),
    began_at timestamptz,
    ended_at timestamptz not null default clock_timestamp(),
    primary key (event, seq),
    constraint webhook_attempts_actor_check check ((outcome = 'replay') = (actor is not null))
);

-- Outbox ------------------------------------------------------------------------------------------
--
-- pending ─ lease → sending ─┬─ sent
--    ↑                       ├─ no recipient, or expired ─→ skipped
--    └─ due ─ retry ─────────┴─ out of attempts ──────────→ dead
--
-- A message may belong to no tenant: the sender of a request for a sign-in link is not known yet. A tenant's
-- transaction may add messages, and cannot read them again.

create table mt.outbox (
    tenant_id       uuid references mt.tenants (id) on delete cascade,
    id              uuid primary key,
    topic           text not null,
    -- The natural name of the fact, so that it is sent once, even if several events report it.
    dedupe_key      text not null,
    payload         jsonb not null,
    -- Urgent messages have dispatchers of their own: a sign-in link does not wait behind invites.
    is_urgent       boolean not null default false,
    status          text not null default 'pending'
        check (status in ('pending', 'sending', 'sent', 'skipped', 'dead')),
    last_error      text check (octet_length(last_error) <= 1024),
    -- Counted when an attempt begins.
    attempts        integer not null default 0,
    -- Consecutive attempts that failed, or that ended with their lease because their process was killed. Only these
    -- count against the message: one that cannot be delivered now waits until it expires.
    failures        integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    lease_token     uuid,
    lease_until     timestamptz,
    created_at      timestamptz not null default now(),
    -- When the message becomes useless. Null: the policy of its dispatcher says how long it waits.
    expires_at      timestamptz,
    done_at         timestamptz,
    constraint outbox_dedupe_key unique nulls not distinct (tenant_id, dedupe_key),
    constraint outbox_lease_check
        check ((status = 'sending') = (lease_token is not null)
            and (lease_token is null) = (lease_until is null)),
    constraint outbox_done_check
        check ((status in ('sent', 'skipped', 'dead')) = (done_at is not null))
);
create index outbox_due_idx on mt.outbox (next_attempt_at, id) where status in ('pending', 'sending');
create index outbox_urgent_due_idx on mt.outbox (next_attempt_at, id)
    where is_urgent and status in ('pending', 'sending');
-- Waiting and dead messages, for metrics and operators.
create index outbox_waiting_idx on mt.outbox (created_at) where status in ('pending', 'sending');
create index outbox_dead_idx on mt.outbox (id) where status = 'dead';
-- What may be deleted by age: messages, messages of no tenant, and payloads.
create index outbox_done_idx on mt.outbox (done_at) where done_at is not null;
create index outbox_done_of_no_tenant_idx on mt.outbox (done_at)
    where done_at is not null and tenant_id is null;
create index outbox_payload_idx on mt.outbox (done_at)
    where done_at is not null and payload <> 'null';

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.webhook_events enable row level security, force row level security;
alter table mt.webhook_attempts enable row level security, force row level security;
alter table mt.outbox enable row level security, force row level security;

create policy system on mt.webhook_events to mt_system using (true) with check (true);
create policy system on mt.webhook_attempts to mt_system using (true) with check (true);
create policy system on mt.outbox to mt_system using (true) with check (true);
create policy tenant on mt.outbox for insert to mt_app
    with check (tenant_id = (select mt.sealed_tenant_id()));

grant select, insert, update, delete on mt.webhook_events, mt.outbox to mt_system;
grant select, insert on mt.webhook_attempts to mt_system;
grant insert (tenant_id, id, topic, dedupe_key, payload, is_urgent, expires_at) on mt.outbox to mt_app;
