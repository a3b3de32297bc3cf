-- The webhook ledger, and what billing events come to. Provider-neutral: a provider is a word.
--
-- Events, subscriptions and invoices belong to a provider's customer and not to a tenant; the link
-- between the two is in billing_customers. Only mt_system sees them; mt_app sees its tenant's link.

-- Ledger ----------------------------------------------------------------------------------------
--
-- received ─ claim → processing ─ effect and mark in one transaction → processed
--                        ├─ nothing to do, for good ─────────────────→ ignored
--                        ├─ not now ─────────────────────────────────→ failed ─ due → claim …
--                        └─ not now, and out of attempts or time ────→ dead
-- A processing event whose lease is over is due again.

create table mt.webhook_events (
    id               uuid not null constraint webhook_events_pkey primary key,
    provider         text not null,
    event_id         text not null,
    type             text not null,
    account          text not null default '',
    livemode         boolean not null default false,
    api_version      text,
    event_created    timestamptz,
    object_id        text,
    customer_id      text,
    -- As received: what was verified is what is kept.
    body             bytea not null,
    status           text not null default 'received' constraint webhook_events_status_check
        check (status in ('received', 'processing', 'processed', 'failed', 'dead', 'ignored')),
    -- A word for machines, and a line for people. Neither holds anything of the body.
    reason           text,
    last_error       text constraint webhook_events_last_error_check
        check (octet_length(last_error) <= 1024),
    deliveries       integer not null default 1,
    -- Counted when an attempt begins, so that an event which kills the process runs out too.
    attempts         integer not null default 0,
    next_attempt_at  timestamptz not null default now(),
    lease_token      uuid,
    lease_until      timestamptz,
    received_at      timestamptz not null default now(),
    last_delivery_at timestamptz not null default now(),
    processed_at     timestamptz,
    constraint webhook_events_event_key unique (provider, event_id),
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

-- Links -----------------------------------------------------------------------------------------

create table mt.billing_customers (
    tenant_id   uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint billing_customers_tenant_id_fkey references mt.tenants (id) on delete cascade,
    provider    text not null,
    account     text not null default '',
    customer_id text not null,
    -- What somebody should look at, as words.
    flags       text[] not null default '{}',
    created_at  timestamptz not null default now(),
    constraint billing_customers_pkey primary key (tenant_id, provider),
    -- One customer pays for one tenant, whoever claims what.
    constraint billing_customers_customer_key unique (provider, account, customer_id)
);

-- What events come to ---------------------------------------------------------------------------

create table mt.subscriptions (
    provider        text not null,
    account         text not null,
    livemode        boolean not null,
    subscription_id text not null,
    customer_id     text not null,
    status          text not null,
    needs_refetch   boolean not null,
    -- The join of all its events: greatest key, what that one shows, and what is needed to go on.
    state           jsonb not null,
    updated_at      timestamptz not null default now(),
    constraint subscriptions_pkey primary key (provider, account, livemode, subscription_id)
);
create index subscriptions_customer_idx on mt.subscriptions (provider, account, livemode, customer_id);

create table mt.invoices (
    provider    text not null,
    account     text not null,
    livemode    boolean not null,
    invoice_id  text not null,
    customer_id text not null,
    outcome     text not null constraint invoices_outcome_check check (outcome in ('paid', 'failed')),
    state       jsonb not null,
    updated_at  timestamptz not null default now(),
    constraint invoices_pkey primary key (provider, account, livemode, invoice_id)
);
create index invoices_customer_idx on mt.invoices (provider, account, livemode, customer_id);

-- Row-level security and rights -----------------------------------------------------------------

alter table mt.webhook_events enable row level security, force row level security;
alter table mt.billing_customers enable row level security, force row level security;
alter table mt.subscriptions enable row level security, force row level security;
alter table mt.invoices enable row level security, force row level security;

create policy system on mt.webhook_events to mt_system using (true) with check (true);
create policy system on mt.billing_customers to mt_system using (true) with check (true);
create policy system on mt.subscriptions to mt_system using (true) with check (true);
create policy system on mt.invoices to mt_system using (true) with check (true);
create policy tenant on mt.billing_customers to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));

grant select, insert, update, delete
    on mt.webhook_events, mt.billing_customers, mt.subscriptions, mt.invoices to mt_system;
grant select, insert on mt.billing_customers to mt_app;
