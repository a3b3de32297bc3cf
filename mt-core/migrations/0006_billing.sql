-- Billing: customers of a provider, checkout sessions, calls to the provider, and the subscriptions and invoices that
-- its events describe. The tables know no provider; `provider` is a name.
--
-- Subscriptions and invoices belong to a provider's customer and not to a tenant; billing_customers links the two. Only
-- mt_system sees them. mt_app sees the link, the checkout sessions and the calls of its tenant.

-- Customers ---------------------------------------------------------------------------------------

create table mt.billing_customers (
    tenant_id      uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    provider       text not null,
    account        text not null default '',
    customer_id    text not null,
    -- Whether a checkout session's claim made this link, and not the server before anything was bought. Such a link is
    -- removed when the claim of another tenant contradicts it.
    claimed        boolean not null default false,
    -- Words for what an operator should look at.
    flags          text[] not null default '{}',
    -- The fingerprint of the price table that the tenant was projected with. With another table it is projected again.
    projected_with text,
    created_at     timestamptz not null default now(),
    primary key (tenant_id, provider),
    -- One customer pays for one tenant, whatever a session claims.
    constraint billing_customers_customer_key unique (provider, account, customer_id)
);
create index billing_customers_projected_idx
    on mt.billing_customers (provider, projected_with, tenant_id);

-- Former customers. Their events do not wait for a link.
create table mt.former_customers (
    provider       text not null,
    account        text not null,
    customer_id    text not null,
    -- Whether the customer's tenant was deleted. Then no payment may continue.
    tenant_deleted boolean not null,
    unlinked_at    timestamptz not null default now(),
    primary key (provider, account, customer_id)
);

-- Records the former customer, for every way to delete a tenant and not only for the library's statements. It runs
-- `before` the deletion, because the cascade of a foreign key then runs it at once and as the owner of the tables: the
-- role of a tenant's transaction may write neither table. If the tenant is deleted, the same transaction puts a message
-- into the outbox, whose handler cancels the customer's remaining subscriptions.
create function mt.remember_former_customer() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant_deleted boolean := not exists (select from mt.tenants t where t.id = old.tenant_id);
begin
    insert into mt.former_customers as f (provider, account, customer_id, tenant_deleted)
    values (old.provider, old.account, old.customer_id, tenant_deleted)
    on conflict (provider, account, customer_id) do update
        set tenant_deleted = f.tenant_deleted or excluded.tenant_deleted, unlinked_at = now();
    if tenant_deleted then
        insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload)
        values (null, gen_random_uuid(), 'customer_of_deleted_tenant',
            concat_ws(':', 'customer_of_deleted_tenant', old.provider, old.account, old.customer_id),
            jsonb_build_object('provider', old.provider, 'account', old.account,
                'customer', old.customer_id))
        on conflict do nothing;
    end if;
    return old;
end $$;
revoke execute on function mt.remember_former_customer() from public;
create trigger billing_customers_remember_former_customer
    before delete on mt.billing_customers
    for each row execute function mt.remember_former_customer();

-- Checkout sessions -------------------------------------------------------------------------------
--
-- The sessions that this server created, with their tenant. Only they may claim a customer.

create table mt.checkout_sessions (
    tenant_id    uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    provider     text not null,
    account      text not null default '',
    session_id   text not null,
    -- The customer for whom the session was created, and the address of its page, so that an open session can be shown
    -- again.
    made_for     text,
    url          text,
    -- The customer who completed the session.
    customer_id  text,
    created_at   timestamptz not null default now(),
    completed_at timestamptz,
    primary key (tenant_id, provider, account, session_id),
    constraint checkout_sessions_session_key unique (provider, account, session_id),
    constraint checkout_sessions_completed_check
        check ((customer_id is null) = (completed_at is null))
);
create index checkout_sessions_claims_idx on mt.checkout_sessions (provider, account, customer_id)
    where customer_id is not null;
-- Abandoned sessions, which are deleted by age. A completed session stays: it is a claim of its customer.
create index checkout_sessions_left_idx on mt.checkout_sessions (created_at) where customer_id is null;

-- Calls to the provider ---------------------------------------------------------------------------
--
-- The server writes a row before it calls the provider, and deletes it when the provider answers. So a call without an
-- answer is repeated with the same idempotency key, even by another process, and a refused call is repeated with a new
-- one.

create table mt.provider_calls (
    tenant_id       uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    provider        text not null,
    -- The name of the operation: a tenant runs each one at a time.
    operation       text not null,
    -- A digest of the request. A provider refuses a key that comes with another request.
    request         bytea not null,
    idempotency_key text not null,
    begun_at        timestamptz not null default now(),
    primary key (tenant_id, provider, operation)
);

-- Subscriptions -----------------------------------------------------------------------------------

-- A fetch takes its number before the request, so that the answer to the later fetch wins.
create sequence mt.fetch_numbers as bigint;

create table mt.subscriptions (
    provider          text not null,
    account           text not null,
    livemode          boolean not null,
    subscription_id   text not null,
    customer_id       text not null,
    status            text not null,
    needs_refetch     boolean not null,
    -- The join of its events, whatever their order: the events of the latest second, and the times of past_due.
    state             jsonb not null,
    -- The provider's latest answer about the subscription, and the number of that fetch.
    fetched           jsonb,
    fetch_number      bigint not null default 0,
    collection_paused boolean not null default false,
    updated_at        timestamptz not null default now(),
    primary key (provider, account, livemode, subscription_id)
);
create index subscriptions_customer_idx on mt.subscriptions (provider, account, livemode, customer_id);
create index subscriptions_refetch_idx on mt.subscriptions (provider, updated_at) where needs_refetch;

-- Invoices ----------------------------------------------------------------------------------------

create table mt.invoices (
    provider        text not null,
    account         text not null,
    livemode        boolean not null,
    invoice_id      text not null,
    customer_id     text not null,
    state           jsonb not null,
    status          text not null default 'draft'
        check (status in ('draft', 'open', 'uncollectible', 'void', 'paid')),
    subscription_id text,
    updated_at      timestamptz not null default now(),
    primary key (provider, account, livemode, invoice_id)
);
create index invoices_customer_idx on mt.invoices (provider, account, livemode, customer_id);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.billing_customers enable row level security, force row level security;
alter table mt.former_customers enable row level security, force row level security;
alter table mt.checkout_sessions enable row level security, force row level security;
alter table mt.provider_calls enable row level security, force row level security;
alter table mt.subscriptions enable row level security, force row level security;
alter table mt.invoices enable row level security, force row level security;

create policy system on mt.billing_customers to mt_system using (true) with check (true);
create policy system on mt.former_customers to mt_system using (true) with check (true);
create policy system on mt.checkout_sessions to mt_system using (true) with check (true);
create policy system on mt.provider_calls to mt_system using (true) with check (true);
create policy system on mt.subscriptions to mt_system using (true) with check (true);
create policy system on mt.invoices to mt_system using (true) with check (true);

create policy tenant on mt.billing_customers to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
create policy tenant on mt.checkout_sessions to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
create policy tenant on mt.provider_calls to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));

grant select, insert on mt.billing_customers, mt.checkout_sessions to mt_app;
grant select, insert, update, delete on mt.provider_calls to mt_app;
grant usage on sequence mt.fetch_numbers to mt_system;
grant select, insert, update, delete
    on mt.billing_customers, mt.former_customers, mt.checkout_sessions, mt.provider_calls, mt.subscriptions,
    mt.invoices to mt_system;
