-- Stored responses, kept for a day, so that a repeated request gets the response of the first one.
--
-- A row is written in the transaction of the change that it describes, so neither exists without the other.

create table mt.idempotency_keys (
    tenant_id      uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    principal_id   uuid not null references mt.users (id) on delete cascade,
    -- A digest of the requested operation and the sender's key. Neither is stored.
    request_digest bytea not null
        constraint idempotency_keys_request_check check (octet_length(request_digest) = 32),
    body_digest    bytea not null
        constraint idempotency_keys_body_check check (octet_length(body_digest) = 32),
    status         smallint not null,
    headers        jsonb not null,
    body           bytea not null,
    created_at     timestamptz not null default now(),
    primary key (tenant_id, principal_id, request_digest)
);
create index idempotency_keys_created_at_idx on mt.idempotency_keys (created_at);

-- The same for requests outside of a tenant, such as one that creates a tenant.
create table mt.principal_idempotency_keys (
    principal_id   uuid not null references mt.users (id) on delete cascade,
    request_digest bytea not null
        constraint principal_idempotency_keys_request_check check (octet_length(request_digest) = 32),
    body_digest    bytea not null
        constraint principal_idempotency_keys_body_check check (octet_length(body_digest) = 32),
    status         smallint not null,
    headers        jsonb not null,
    body           bytea not null,
    created_at     timestamptz not null default now(),
    primary key (principal_id, request_digest)
);
create index principal_idempotency_keys_created_at_idx
    on mt.principal_idempotency_keys (created_at);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.idempotency_keys enable row level security, force row level security;
alter table mt.principal_idempotency_keys enable row level security, force row level security;

create policy system on mt.idempotency_keys to mt_system using (true) with check (true);
create policy system on mt.principal_idempotency_keys to mt_system using (true) with check (true);
-- A member does not see the responses to other members.
create policy own on mt.idempotency_keys to mt_app
    using (tenant_id = (select mt.sealed_tenant_id()) and principal_id = (select mt.sealed_principal_id()))
    with check (tenant_id = (select mt.sealed_tenant_id()) and principal_id = (select mt.sealed_principal_id()));

grant select, insert, update on mt.idempotency_keys to mt_app;
grant select, insert, update, delete on mt.idempotency_keys, mt.principal_idempotency_keys to mt_system;
