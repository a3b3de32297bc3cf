-- Calls to a provider whose outcome is not known yet, and customers that pay for no tenant any more.
--
-- The server before this one goes on working: it names neither table, and the trigger works for it too.

set local lock_timeout = '2s';

-- Calls -----------------------------------------------------------------------------------------
--
-- A row is written before the provider is called, and goes with the provider's answer. So a call that got no
-- answer is repeated under the same idempotency key, also by another process, and a call that was refused is
-- repeated under a new one.

create table mt.provider_calls (
    tenant_id       uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint provider_calls_tenant_id_fkey references mt.tenants (id) on delete cascade,
    provider        text not null,
    -- What is asked for, in a word: one at a time for each tenant.
    operation       text not null,
    -- A digest of the request. A provider refuses a key that comes with another request.
    request         bytea not null,
    idempotency_key text not null,
    begun_at        timestamptz not null default now(),
    constraint provider_calls_pkey primary key (tenant_id, provider, operation)
);

-- Former customers ------------------------------------------------------------------------------
--
-- Events of a customer that was unlinked are not waiting for a link.

create table mt.former_customers (
    provider       text not null,
    account        text not null,
    customer_id    text not null,
    -- Whether the customer's tenant was deleted: then nothing may go on being paid.
    tenant_deleted boolean not null,
    unlinked_at    timestamptz not null default now(),
    constraint former_customers_pkey primary key (provider, account, customer_id)
);

-- By trigger and not by the statements of the library, so that every way to delete a tenant counts. `before`,
-- because the cascade of a foreign key runs it at once and as the tables' owner then: the role of a tenant's
-- transaction may write neither table. With the tenant, a message goes into the outbox, in the same transaction:
-- whatever the customer still subscribes to is to be canceled.
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

-- Row-level security and rights -----------------------------------------------------------------

alter table mt.provider_calls enable row level security, force row level security;
alter table mt.former_customers enable row level security, force row level security;

create policy system on mt.provider_calls to mt_system using (true) with check (true);
create policy tenant on mt.provider_calls to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
create policy system on mt.former_customers to mt_system using (true) with check (true);

grant select, insert, update, delete on mt.provider_calls to mt_app, mt_system;
grant select, insert, update, delete on mt.former_customers to mt_system;
