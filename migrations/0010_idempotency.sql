-- Answers that are kept for a day, so that a request that is sent again is answered as it was the first time.
--
-- A row is written in the transaction of the change that it tells of: there is none without the other.

create table mt.idempotency_keys (
    tenant_id      uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint idempotency_keys_tenant_id_fkey references mt.tenants (id) on delete cascade,
    principal_id   uuid not null
        constraint idempotency_keys_principal_id_fkey references mt.users (id) on delete cascade,
    -- Of what was asked for and the sender's key: neither is stored.
    request_digest bytea not null
        constraint idempotency_keys_request_check check (octet_length(request_digest) = 32),
    body_digest    bytea not null
        constraint idempotency_keys_body_check check (octet_length(body_digest) = 32),
    status         smallint not null,
    headers        jsonb not null,
    body           bytea not null,
    created_at     timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (tenant_id, principal_id, request_digest)
);
create index idempotency_keys_created_at_idx on mt.idempotency_keys (created_at);

-- The same for requests that are in no tenant, such as one that makes a tenant.
create table mt.principal_idempotency_keys (
    principal_id   uuid not null
        constraint principal_idempotency_keys_principal_id_fkey
            references mt.users (id) on delete cascade,
    request_digest bytea not null
        constraint principal_idempotency_keys_request_check check (octet_length(request_digest) = 32),
    body_digest    bytea not null
        constraint principal_idempotency_keys_body_check check (octet_length(body_digest) = 32),
    status         smallint not null,
    headers        jsonb not null,
    body           bytea not null,
    created_at     timestamptz not null default now(),
    constraint principal_idempotency_keys_pkey primary key (principal_id, request_digest)
);
create index principal_idempotency_keys_created_at_idx
    on mt.principal_idempotency_keys (created_at);

alter table mt.idempotency_keys enable row level security, force row level security;
alter table mt.principal_idempotency_keys enable row level security, force row level security;

create policy system on mt.idempotency_keys to mt_system using (true) with check (true);
create policy system on mt.principal_idempotency_keys to mt_system using (true) with check (true);
-- What was answered to one member is no other member's business.
create policy own on mt.idempotency_keys to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid)
        and principal_id = (select nullif(current_setting('mt.principal_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid)
        and principal_id = (select nullif(current_setting('mt.principal_id', true), '')::uuid));

grant select, insert, update on mt.idempotency_keys to mt_app;
grant select, insert, update, delete on mt.idempotency_keys, mt.principal_idempotency_keys to mt_system;
