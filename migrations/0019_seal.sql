-- The tenant of a transaction is sealed when the transaction is opened, and policies go by the seal.
--
-- Any statement can change a setting such as mt.tenant_id, so a policy that believes the setting keeps out mistakes
-- and not an SQL injection. From here on mt.enter sets the tenant, and with it mt.seal: a digest of the settings, of
-- this backend, of this transaction and of a key that nobody can read but the functions below. What policies compare
-- with is mt.sealed_tenant_id(), which fails if the seal does not fit.
--
-- Who may enter which tenant is decided by the server. It reads the key as mt_system, by a login that runs no
-- statement of a tenant, and shows mt.enter a ticket made with it.

set local lock_timeout = '2s';

-- The key -----------------------------------------------------------------------------------------

-- 120 random bits in two sequences, since a function can read a sequence without running a query. Nobody but the
-- owner has any rights on them, and nobody counts with them.
create sequence mt.seal_key_1;
create sequence mt.seal_key_2;
select setval(name, 1 + ('x0' || right(replace(gen_random_uuid()::text, '-', ''), 15))::bit(64)::bigint)
    from unnest(array['mt.seal_key_1', 'mt.seal_key_2']) name;

create function mt.seal_key() returns bytea language sql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$ select int8send(pg_sequence_last_value('mt.seal_key_1'::regclass))
        || int8send(pg_sequence_last_value('mt.seal_key_2'::regclass)) $$;
revoke execute on function mt.seal_key() from public;
grant execute on function mt.seal_key() to mt_system;

-- Sealing -----------------------------------------------------------------------------------------

-- Seals this transaction for a tenant, a principal, and the tenant that the principal's credential is bound to; an
-- empty text is none. A message to be digested has no end that could be extended: what it is made of has one form.
create procedure mt.seal(tenant text, principal text, bound text) language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('mt.tenant_id', tenant, true), set_config('mt.principal_id', principal, true),
        set_config('mt.bound_tenant_id', bound, true),
        set_config('mt.seal', sha256(mt.seal_key() || int4send(pg_backend_pid()) || timestamptz_send(now())
            || (tenant || ' ' || principal || ' ' || bound)::bytea)::text, true);
end $$;
revoke execute on procedure mt.seal(text, text, text) from public;

-- What a server calls to open a transaction. `ticket` is the hexadecimal SHA-256 of the key and of
-- `enter BACKEND TENANT PRINCIPAL BOUND`; BACKEND is this one, or 0 behind a pooler. Somebody who has seen a ticket
-- can do nothing with it on another backend, and nothing after the message that opened the transaction.
create procedure mt.enter(tenant text, principal text, bound text, backend integer, ticket text) language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if statement_timestamp() <> transaction_timestamp() then
        raise exception 'a transaction enters its tenant in the message that opens it'
            using errcode = 'insufficient_privilege';
    end if;
    if backend not in (0, pg_backend_pid()) or ticket is distinct from encode(sha256(mt.seal_key()
        || convert_to(format('enter %s %s %s %s', backend, tenant, principal, bound), 'UTF8')), 'hex')
    then
        raise exception 'the ticket for the tenant was not made with the key of this database' using errcode = 'MT001';
    end if;
    call mt.seal(tenant, principal, bound);
end $$;
revoke execute on procedure mt.enter(text, text, text, integer, text) from public;
grant execute on procedure mt.enter(text, text, text, integer, text) to mt_app, mt_authority;

-- The same for the system, which sees all tenants anyway.
create procedure mt.enter_as_system(tenant text) language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    call mt.seal(tenant, '', '');
end $$;
revoke execute on procedure mt.enter_as_system(text) from public;
grant execute on procedure mt.enter_as_system(text) to mt_system;

-- What policies compare with ------------------------------------------------------------------------

-- mt.sealed_tenant_id(), mt.sealed_principal_id() and mt.sealed_bound_tenant_id(): the setting, if the seal fits; null
-- if nothing is set. They are asked once for each table of a statement. So they call nothing else that is written in
-- SQL, and name the schema of everything instead of having a search path, which takes as long as the rest.
do $do$
declare
    setting text;
begin
    foreach setting in array array['tenant_id', 'principal_id', 'bound_tenant_id'] loop
        execute format($create$
create function mt.sealed_%1$s() returns uuid language plpgsql stable security definer as $body$
begin
    if pg_catalog.sha256(
        pg_catalog.int8send(pg_catalog.pg_sequence_last_value('mt.seal_key_1'::pg_catalog.regclass))
        operator(pg_catalog.||)
        pg_catalog.int8send(pg_catalog.pg_sequence_last_value('mt.seal_key_2'::pg_catalog.regclass))
        operator(pg_catalog.||) pg_catalog.int4send(pg_catalog.pg_backend_pid())
        operator(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.now())
        operator(pg_catalog.||) (pg_catalog.current_setting('mt.tenant_id', true)
            operator(pg_catalog.||) ' ' operator(pg_catalog.||) pg_catalog.current_setting('mt.principal_id', true)
            operator(pg_catalog.||) ' ' operator(pg_catalog.||) pg_catalog.current_setting('mt.bound_tenant_id', true)
            )::pg_catalog.bytea)
        operator(pg_catalog.=) pg_catalog.current_setting('mt.seal', true)::pg_catalog.bytea
    then
        if pg_catalog.current_setting('mt.%1$s') operator(pg_catalog.=) '' then
            return null;
        end if;
        return pg_catalog.current_setting('mt.%1$s')::pg_catalog.uuid;
    end if;
    if pg_catalog.concat(pg_catalog.current_setting('mt.tenant_id', true),
        pg_catalog.current_setting('mt.principal_id', true)) operator(pg_catalog.=) ''
    then
        return null;
    end if;
    raise exception 'the tenant of this transaction was not set by what opened it'
        using errcode = 'insufficient_privilege';
end $body$
        $create$, setting);
        execute format('revoke execute on function mt.sealed_%s() from public', setting);
        execute format('grant execute on function mt.sealed_%s() to mt_app, mt_authority', setting);
    end loop;
end $do$;

-- Policies ------------------------------------------------------------------------------------------

alter policy tenant on mt.tenants
    using (id = (select mt.sealed_tenant_id())) with check (id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.memberships
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.invites
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.billing_customers
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.checkout_sessions
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.audit_log
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.provider_calls
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy tenant on mt.outbox
    with check (tenant_id = (select mt.sealed_tenant_id()));
alter policy own on mt.idempotency_keys
    using (tenant_id = (select mt.sealed_tenant_id()) and principal_id = (select mt.sealed_principal_id()))
    with check (tenant_id = (select mt.sealed_tenant_id()) and principal_id = (select mt.sealed_principal_id()));

alter policy own on mt.memberships
    using (principal_id = (select mt.sealed_principal_id())
        and (select mt.sealed_tenant_id()) is null
        and coalesce(tenant_id = (select mt.sealed_bound_tenant_id()), true));
alter policy own on mt.tenants
    using ((select mt.sealed_tenant_id()) is null
        and exists (select from mt.memberships m
            where m.tenant_id = tenants.id and m.principal_id = (select mt.sealed_principal_id())
            offset 0));
alter policy own on mt.users
    using (id = (select mt.sealed_principal_id()));
alter policy fellow on mt.users
    using (exists (select from mt.memberships m
        where m.tenant_id = (select mt.sealed_tenant_id()) and m.principal_id = users.id
        offset 0));

alter policy authority on mt.users
    using (id = (select mt.sealed_principal_id()));
alter policy authority on mt.memberships
    using (principal_id = (select mt.sealed_principal_id()) and tenant_id = (select mt.sealed_tenant_id()));
alter policy authority on mt.tenants
    using (id = (select mt.sealed_tenant_id()));

-- mt.isolate ----------------------------------------------------------------------------------------

create or replace function mt.isolate(target regclass) returns void language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    found_kind "char";
    found_schema name;
    found_name name;
    column_number smallint;
    offender text;
    guard constant text := 'tenant_id = (select mt.sealed_tenant_id())';
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

    -- A unique index without the tenant tells one tenant that another has the value. So does a
    -- constraint that excludes. What an index only includes (`include`) is no part of its key.
    select c.relname into offender from pg_index i join pg_class c on c.oid = i.indexrelid
        where i.indrelid = target and (i.indisunique or i.indisexclusion)
            and column_number <> all ((i.indkey::smallint[])[0:i.indnkeyatts - 1]) limit 1;
    if offender is not null then
        raise exception 'mt.isolate(%): the key of unique index `%` must contain tenant_id',
            target, offender using errcode = 'invalid_table_definition';
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

-- Tables that are isolated already.
do $$
declare
    isolated regclass;
begin
    for isolated in select polrelid from pg_policy where polname = 'mt_isolation' loop
        execute format('alter policy mt_isolation on %s using (tenant_id = (select mt.sealed_tenant_id())) '
            'with check (tenant_id = (select mt.sealed_tenant_id()))', isolated);
    end loop;
end $$;
