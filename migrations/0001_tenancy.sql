-- Tenants, users, memberships, invites, magic links; the roles' rights on them; mt.isolate.
--
-- Run as mt_owner (the migrator says `set role mt_owner`), so that everything here belongs to it.
-- Row-level security is forced: it binds mt_owner too. mt_app sees one tenant at a time, the one in
-- the transaction-local setting mt.tenant_id; mt_system has policies of its own and never bypasses.

-- What the policies read. After a transaction that set it, a setting is '' and not null, hence nullif.
create function mt.tenant_id() returns uuid language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
    as $$ select nullif(current_setting('mt.tenant_id', true), '')::uuid $$;
create function mt.principal_id() returns uuid language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
    as $$ select nullif(current_setting('mt.principal_id', true), '')::uuid $$;

-- Tenants ---------------------------------------------------------------------------------------

create table mt.tenants (
    id                   uuid not null constraint tenants_pkey primary key,
    name                 text not null,
    plan                 text not null default 'free',
    subscription_status  text not null default 'none',
    past_due_since       timestamptz,
    current_period_end   timestamptz,
    cancel_at_period_end boolean not null default false,
    suspension           text not null default 'none'
        constraint tenants_suspension_check check (suspension in ('none', 'read_only', 'full')),
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now()
);

-- Users -----------------------------------------------------------------------------------------

create table mt.users (
    id         uuid not null constraint users_pkey primary key,
    email      text not null constraint users_email_key unique,
    -- Signing out everywhere moves it on; tokens carry a copy.
    generation integer not null default 0,
    created_at timestamptz not null default now()
);

-- Memberships -----------------------------------------------------------------------------------

create table mt.memberships (
    tenant_id    uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint memberships_tenant_id_fkey references mt.tenants (id) on delete cascade,
    principal_id uuid not null
        constraint memberships_principal_id_fkey references mt.users (id) on delete cascade,
    role         text not null,
    -- Whether the role is the application's owner role: what the trigger below counts.
    is_owner     boolean not null,
    created_at   timestamptz not null default now(),
    constraint memberships_pkey primary key (tenant_id, principal_id)
);
-- "Which tenants am I in", asked before a tenant is chosen.
create index memberships_principal_id_idx on mt.memberships (principal_id, tenant_id);

-- Every writer that could take the last owner away locks the tenant row first; this is the net under
-- them, for consoles and for code to come. It locks as they do and looks when the transaction ends.
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
create constraint trigger memberships_keep_an_owner
    after update or delete on mt.memberships deferrable initially deferred
    for each row when (old.is_owner) execute function mt.keep_an_owner();

-- Invites ---------------------------------------------------------------------------------------

create table mt.invites (
    tenant_id   uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint invites_tenant_id_fkey references mt.tenants (id) on delete cascade,
    id          uuid not null,
    email       text not null,
    role        text not null,
    token_hash  bytea not null,
    invited_by  uuid not null,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null,
    accepted_at timestamptz,
    revoked_at  timestamptz,
    constraint invites_pkey primary key (tenant_id, id),
    constraint invites_end_check check (accepted_at is null or revoked_at is null)
);
-- One open invite an address; asking again turns its token.
create unique index invites_open_key on mt.invites (tenant_id, email)
    where accepted_at is null and revoked_at is null;
-- Whoever holds a token does not say which tenant it is for.
create index invites_token_hash_idx on mt.invites (token_hash);

-- Magic links -----------------------------------------------------------------------------------

create table mt.magic_links (
    id         uuid not null constraint magic_links_pkey primary key,
    email      text not null,
    token_hash bytea not null constraint magic_links_token_hash_key unique,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz,
    voided_at  timestamptz
);
create index magic_links_email_idx on mt.magic_links (email, id desc)
    where used_at is null and voided_at is null;
create index magic_links_expires_at_idx on mt.magic_links (expires_at);

-- Row-level security ----------------------------------------------------------------------------

alter table mt.tenants enable row level security, force row level security;
alter table mt.users enable row level security, force row level security;
alter table mt.memberships enable row level security, force row level security;
alter table mt.invites enable row level security, force row level security;
alter table mt.magic_links enable row level security, force row level security;

create policy system on mt.tenants to mt_system using (true) with check (true);
create policy system on mt.users to mt_system using (true) with check (true);
create policy system on mt.memberships to mt_system using (true) with check (true);
create policy system on mt.invites to mt_system using (true) with check (true);
create policy system on mt.magic_links to mt_system using (true) with check (true);

create policy tenant on mt.tenants to mt_app
    using (id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
create policy tenant on mt.memberships to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
create policy tenant on mt.invites to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));

-- A principal's own rows, while no tenant is chosen: inside a tenant these two add nothing.
create policy own on mt.memberships for select to mt_app
    using (principal_id = (select nullif(current_setting('mt.principal_id', true), '')::uuid)
        and (select nullif(current_setting('mt.tenant_id', true), '')) is null);
create policy own on mt.tenants for select to mt_app
    using ((select nullif(current_setting('mt.tenant_id', true), '')) is null
        and id in (select m.tenant_id from mt.memberships m
            where m.principal_id
                = (select nullif(current_setting('mt.principal_id', true), '')::uuid)));

-- A user is visible to themself and to the members of the chosen tenant.
create policy own on mt.users for select to mt_app
    using (id = (select nullif(current_setting('mt.principal_id', true), '')::uuid));
create policy fellow on mt.users for select to mt_app
    using (exists (select 1 from mt.memberships m
        where m.tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid)
            and m.principal_id = users.id));

-- Rights, table by table. mt_app can neither change a plan nor read a stored token.
grant select, delete, update (name, updated_at) on mt.tenants to mt_app;
grant select, delete, update (role, is_owner) on mt.memberships to mt_app;
grant select (id, email, generation) on mt.users to mt_app;
grant select (tenant_id, id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at),
    insert, update, delete on mt.invites to mt_app;
grant select, insert, update, delete
    on mt.tenants, mt.users, mt.memberships, mt.invites, mt.magic_links to mt_system;

-- mt.isolate ------------------------------------------------------------------------------------

-- Makes one table of the application safe, in one line of its migration:
--
--     select mt.isolate('app.projects');
--
-- The table needs `tenant_id uuid not null`, a primary key that begins with tenant_id, and tenant_id
-- in each unique index and in each foreign key to or from another tenant's table. What it cannot make
-- safe it refuses, and says why. It defaults tenant_id from the transaction, ties it to mt.tenants,
-- enables and forces row-level security with one policy for all commands, and grants mt_app the four
-- row commands and nothing else. Running it again changes nothing.
create function mt.isolate(target regclass) returns void language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    found_kind "char";
    found_schema name;
    found_name name;
    column_number smallint;
    offender text;
    guard constant text :=
        $guard$tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid)$guard$;
begin
    select c.relkind, n.nspname, c.relname into found_kind, found_schema, found_name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target;
    if found_kind not in ('r', 'p') then
        raise exception 'mt.isolate(%): not a table', target using errcode = 'wrong_object_type';
    end if;

    select a.attnum into column_number from pg_attribute a
        where a.attrelid = target and a.attname = 'tenant_id' and not a.attisdropped
            and a.atttypid = 'uuid'::regtype and a.attnotnull;
    if column_number is null then
        raise exception 'mt.isolate(%): needs a column `tenant_id uuid not null`', target
            using errcode = 'invalid_table_definition';
    end if;

    if not exists (select 1 from pg_index i
        where i.indrelid = target and i.indisprimary and i.indkey[0] = column_number)
    then
        raise exception 'mt.isolate(%): the primary key must begin with tenant_id', target
            using errcode = 'invalid_table_definition';
    end if;

    -- A unique index without the tenant tells one tenant that another has the value.
    select c.relname into offender from pg_index i join pg_class c on c.oid = i.indexrelid
        where i.indrelid = target and i.indisunique
            and not (column_number = any (i.indkey::smallint[])) limit 1;
    if offender is not null then
        raise exception 'mt.isolate(%): unique index `%` must contain tenant_id', target, offender
            using errcode = 'invalid_table_definition';
    end if;

    -- Foreign keys are checked past row-level security, so without the tenant in the key one tenant's
    -- row can point at another's. Both directions count.
    select k.conname into offender
        from pg_constraint k
        join pg_attribute here on here.attrelid = k.conrelid and here.attname = 'tenant_id'
            and not here.attisdropped
        join pg_attribute there on there.attrelid = k.confrelid and there.attname = 'tenant_id'
            and not there.attisdropped
        where k.contype = 'f' and target in (k.conrelid, k.confrelid)
            and not exists (
                select 1 from generate_subscripts(k.conkey, 1) i
                where k.conkey[i] = here.attnum and k.confkey[i] = there.attnum)
        limit 1;
    if offender is not null then
        raise exception 'mt.isolate(%): foreign key `%` must match tenant_id with tenant_id',
            target, offender using errcode = 'invalid_table_definition';
    end if;

    -- Permissive policies add up: one more could show everything.
    select p.polname into offender from pg_policy p
        where p.polrelid = target and p.polname <> 'mt_isolation' and p.polpermissive limit 1;
    if offender is not null then
        raise exception 'mt.isolate(%): permissive policy `%` would widen what is visible',
            target, offender using errcode = 'invalid_table_definition';
    end if;

    execute format('alter table %s alter column tenant_id set default '
        'nullif(current_setting(''mt.tenant_id'', true), '''')::uuid', target);
    if not exists (select 1 from pg_constraint k
        where k.contype = 'f' and k.conrelid = target and k.confrelid = 'mt.tenants'::regclass
            and k.conkey = array[column_number])
    then
        execute format('alter table %s add constraint %I foreign key (tenant_id) '
            'references mt.tenants (id) on delete cascade',
            target, left(found_name, 40) || '_tenant_id_fkey');
    end if;
    execute format('alter table %s enable row level security, force row level security', target);
    execute format('drop policy if exists mt_isolation on %s', target);
    execute format('create policy mt_isolation on %s to mt_app using (%s) with check (%s)',
        target, guard, guard);
    execute format('revoke all on %s from public, mt_app', target);
    execute format('grant select, insert, update, delete on %s to mt_app', target);
    execute format('grant usage on schema %I to mt_app', found_schema);
end $$;
revoke execute on function mt.isolate(regclass) from public;
revoke execute on function mt.keep_an_owner() from public;
grant execute on function mt.tenant_id(), mt.principal_id() to mt_app, mt_system;
