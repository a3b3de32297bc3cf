-- Which Checkout sessions this server made, and for which tenant: the only claims of a customer that count.

set local lock_timeout = '2s';

create table mt.checkout_sessions (
    tenant_id    uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint checkout_sessions_tenant_id_fkey references mt.tenants (id) on delete cascade,
    provider     text not null,
    account      text not null default '',
    session_id   text not null,
    -- Who completed it.
    customer_id  text,
    created_at   timestamptz not null default now(),
    completed_at timestamptz,
    constraint checkout_sessions_pkey primary key (tenant_id, provider, account, session_id),
    constraint checkout_sessions_session_key unique (provider, account, session_id),
    constraint checkout_sessions_completed_check
        check ((customer_id is null) = (completed_at is null))
);
create index checkout_sessions_claims_idx on mt.checkout_sessions (provider, account, customer_id)
    where customer_id is not null;

-- A link that was made by a claim, and not by the server before anything was bought: it falls when another
-- tenant's claim contradicts it.
alter table mt.billing_customers add column claimed boolean not null default false;

alter table mt.checkout_sessions enable row level security, force row level security;
create policy system on mt.checkout_sessions to mt_system using (true) with check (true);
create policy tenant on mt.checkout_sessions to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
grant select, insert, update, delete on mt.checkout_sessions to mt_system;
grant select, insert on mt.checkout_sessions to mt_app;
