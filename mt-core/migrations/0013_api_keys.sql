-- Service accounts and API keys: principals that are not people, and credentials that are not sessions.
--
-- A key is held by a member, by a service account, or by a service account that acts on behalf of a member. An access
-- decision reads the key, its holders and their roles in one row, so a key that was revoked, and a key whose holder is
-- gone, opens no transaction.

set local lock_timeout = '2s';

-- Service accounts --------------------------------------------------------------------------------

create table mt.service_accounts (
    tenant_id  uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id         uuid not null,
    name       text not null constraint service_accounts_name_check check (octet_length(name) between 1 and 255),
    role       text not null,
    -- The principal who made it, and who may have left the tenant.
    created_by uuid not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
create unique index service_accounts_name_key on mt.service_accounts (tenant_id, name);

-- API keys ----------------------------------------------------------------------------------------

create table mt.api_keys (
    tenant_id          uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id                 uuid not null,
    -- With both, the service account acts on behalf of the user.
    user_id            uuid,
    service_account_id uuid,
    name               text not null constraint api_keys_name_check check (octet_length(name) between 1 and 255),
    -- A keyed hash of the key.
    digest             bytea not null constraint api_keys_digest_check check (octet_length(digest) = 32),
    -- The first characters of the key, by which people tell keys apart.
    hint               text not null,
    -- The most that the key may use. Null: what its holder may.
    permissions        text[],
    -- The keys that replaced one another by rotation have one series.
    series             uuid not null,
    created_by         uuid not null,
    created_at         timestamptz not null default now(),
    expires_at         timestamptz,
    revoked_at         timestamptz,
    -- Within some minutes.
    last_used_at       timestamptz,
    primary key (tenant_id, id),
    constraint api_keys_holder_check check (num_nonnulls(user_id, service_account_id) >= 1),
    constraint api_keys_user_id_fkey foreign key (tenant_id, user_id)
        references mt.memberships (tenant_id, principal_id) on delete cascade,
    constraint api_keys_service_account_id_fkey foreign key (tenant_id, service_account_id)
        references mt.service_accounts (tenant_id, id) on delete cascade
);
-- A key is found by itself alone: it does not name the tenant. So this index does not begin with tenant_id.
create index api_keys_digest_idx on mt.api_keys (digest);
create index api_keys_user_id_idx on mt.api_keys (tenant_id, user_id);
create index api_keys_service_account_id_idx on mt.api_keys (tenant_id, service_account_id);
create index api_keys_series_idx on mt.api_keys (tenant_id, series);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.service_accounts enable row level security, force row level security;
alter table mt.api_keys enable row level security, force row level security;

create policy system on mt.service_accounts to mt_system using (true) with check (true);
create policy system on mt.api_keys to mt_system using (true) with check (true);
create policy tenant on mt.service_accounts to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
create policy tenant on mt.api_keys to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
-- Outside of a tenant, a decision looks for the key in the tenant that it is bound to.
create policy authority on mt.service_accounts for select to mt_authority
    using (tenant_id = coalesce((select mt.sealed_tenant_id()), (select mt.sealed_bound_tenant_id())));
create policy authority on mt.api_keys for select to mt_authority
    using (tenant_id = coalesce((select mt.sealed_tenant_id()), (select mt.sealed_bound_tenant_id())));

grant select, insert, delete, update (name, role) on mt.service_accounts to mt_app;
-- All columns but the hash: a tenant's transaction reads no stored key.
grant select (tenant_id, id, user_id, service_account_id, name, hint, permissions, series, created_by, created_at,
        expires_at, revoked_at, last_used_at),
    insert, update (permissions, expires_at, revoked_at) on mt.api_keys to mt_app;
grant select (tenant_id, id, role) on mt.service_accounts to mt_authority;
grant select (tenant_id, id, user_id, service_account_id, permissions, expires_at, revoked_at)
    on mt.api_keys to mt_authority;
grant select, insert, update, delete on mt.service_accounts, mt.api_keys to mt_system;

-- The audit log -----------------------------------------------------------------------------------

alter table mt.audit_log
    -- Through which keys and service accounts the actor acted, in their order, as objects with `kind` and `id`.
    -- Null: the actor itself did.
    add column via jsonb;
alter table mt.audit_log drop constraint audit_log_actor_kind_check;
alter table mt.audit_log add constraint audit_log_actor_kind_check
    check (actor_kind in ('user', 'service_account', 'operator', 'provider', 'system', 'service')) not valid;
alter table mt.audit_log validate constraint audit_log_actor_kind_check;
alter table mt.audit_log drop constraint audit_log_actor_check;
alter table mt.audit_log add constraint audit_log_actor_check
    check ((actor_kind in ('user', 'service_account')) = (actor_id is not null)
        and (actor_id is null) = (actor_name is not null)) not valid;
alter table mt.audit_log validate constraint audit_log_actor_check;
