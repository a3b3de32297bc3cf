-- Tenants, users and memberships: tables, row-level security and privileges of the roles.
--
-- Row-level security is forced, so it applies to mt_owner too. mt_app sees the tenant that its transaction is sealed
-- for. mt_authority reads the facts of an access decision. mt_system has policies of its own; no role bypasses
-- row-level security.

-- Tenants -----------------------------------------------------------------------------------------

create table mt.tenants (
    id                   uuid primary key,
    name                 text not null,
    plan                 text not null default 'free',
    subscription_status  text not null default 'none',
    past_due_since       timestamptz,
    current_period_end   timestamptz,
    cancel_at_period_end boolean not null default false,
    suspension           text not null default 'none' check (suspension in ('none', 'read_only', 'full')),
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now()
);

-- Users -------------------------------------------------------------------------------------------

create table mt.users (
    id         uuid primary key,
    email      text not null unique,
    -- Signing out everywhere increments it. Tokens carry a copy, and an old copy is refused.
    generation integer not null default 0,
    created_at timestamptz not null default now()
);

-- Memberships -------------------------------------------------------------------------------------

create table mt.memberships (
    tenant_id    uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    principal_id uuid not null references mt.users (id) on delete cascade,
    role         text not null,
    -- Whether the role is the application's owner role. The trigger below counts such members.
    is_owner     boolean not null,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, principal_id)
);
-- The tenants of a principal, listed before a tenant is chosen.
create index memberships_principal_id_idx on mt.memberships (principal_id, tenant_id);
-- The tenants that a principal owns, counted before another one is created.
create index memberships_owned_idx on mt.memberships (principal_id) where is_owner;
-- The members of a tenant, the newest first: one walk along the index.
create index memberships_joined_idx on mt.memberships (tenant_id, created_at desc, principal_id desc);

-- Keeps at least one owner in each tenant. The library's own statements lock the tenant row before they remove an
-- owner. This trigger covers consoles and future code: it takes the same lock, and checks when the transaction ends.
create function mt.keep_an_owner() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform 1 from mt.tenants where id = old.tenant_id for no key update;
    if found and not exists
        (select 1 from mt.memberships where tenant_id = old.tenant_id and is_owner)
    then
        raise exception 'a tenant needs at least one owner'
            using errcode = 'check_violation', constraint = 'memberships_keep_an_owner';
    end if;
    return null;
end $$;
revoke execute on function mt.keep_an_owner() from public;
create constraint trigger memberships_keep_an_owner
    after update or delete on mt.memberships deferrable initially deferred
    for each row when (old.is_owner) execute function mt.keep_an_owner();

-- Row-level security ------------------------------------------------------------------------------

alter table mt.tenants enable row level security, force row level security;
alter table mt.users enable row level security, force row level security;
alter table mt.memberships enable row level security, force row level security;

create policy system on mt.tenants to mt_system using (true) with check (true);
create policy system on mt.users to mt_system using (true) with check (true);
create policy system on mt.memberships to mt_system using (true) with check (true);

create policy tenant on mt.tenants to mt_app
    using (id = (select mt.sealed_tenant_id())) with check (id = (select mt.sealed_tenant_id()));
create policy tenant on mt.memberships to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));

-- A transaction without a tenant sees the principal's own memberships and their tenants. In a transaction of a tenant
-- these two policies add nothing. A credential may be bound to one tenant, such as an API key of that tenant; it then
-- sees that membership alone.
--
-- Without `offset 0`, Postgres may hash all of the principal's tenants for each statement. With it, the subquery is one
-- lookup in the primary key for each row, so a page costs as much as the page and not as much as the whole list.
create policy own on mt.memberships for select to mt_app
    using (principal_id = (select mt.sealed_principal_id())
        and (select mt.sealed_tenant_id()) is null
        and coalesce(tenant_id = (select mt.sealed_bound_tenant_id()), true));
create policy own on mt.tenants for select to mt_app
    using ((select mt.sealed_tenant_id()) is null
        and exists (select from mt.memberships m
            where m.tenant_id = tenants.id and m.principal_id = (select mt.sealed_principal_id())
            offset 0));

-- A user is visible to that user and to the members of the transaction's tenant.
create policy own on mt.users for select to mt_app
    using (id = (select mt.sealed_principal_id()));
create policy fellow on mt.users for select to mt_app
    using (exists (select from mt.memberships m
        where m.tenant_id = (select mt.sealed_tenant_id()) and m.principal_id = users.id
        offset 0));

-- An access decision reads three rows as mt_authority: the user, the membership and the tenant of the transaction.
-- mt_app could read them too. But its policies also show the principal's other memberships and the other members, and
-- preparing those policies took two thirds of the time of reading the facts.
create policy authority on mt.users for select to mt_authority
    using (id = (select mt.sealed_principal_id()));
create policy authority on mt.memberships for select to mt_authority
    using (principal_id = (select mt.sealed_principal_id()) and tenant_id = (select mt.sealed_tenant_id()));
create policy authority on mt.tenants for select to mt_authority
    using (id = (select mt.sealed_tenant_id()));

-- Privileges --------------------------------------------------------------------------------------

-- A tenant cannot change its own plan.
grant select, delete, update (name, updated_at) on mt.tenants to mt_app;
grant select, delete, update (role, is_owner) on mt.memberships to mt_app;
grant select (id, email, generation) on mt.users to mt_app;

grant usage on schema mt to mt_authority;
grant select (id, plan, subscription_status, past_due_since, suspension) on mt.tenants to mt_authority;
grant select (tenant_id, principal_id, role) on mt.memberships to mt_authority;
grant select (id, generation) on mt.users to mt_authority;

grant select, insert, update, delete on mt.tenants, mt.users, mt.memberships to mt_system;
