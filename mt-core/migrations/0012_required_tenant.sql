-- A query on an isolated table fails where no tenant is set. Before, it found no rows: a job that had forgotten the tenant
-- did nothing and reported success.

set local lock_timeout = '2s';

-- The tenant of this transaction, for the policies of isolated tables. It checks the seal as mt.sealed_tenant_id() does,
-- and in one body, because one function that calls another takes twice as long. With the setting
-- `mt.without_tenant = 'empty'` it returns null instead of failing, and so no row is visible.
create function mt.required_tenant_id() returns uuid language plpgsql stable security definer as $body$
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
        if pg_catalog.current_setting('mt.tenant_id') operator(pg_catalog.<>) '' then
            return pg_catalog.current_setting('mt.tenant_id')::pg_catalog.uuid;
        end if;
    elsif pg_catalog.concat(pg_catalog.current_setting('mt.tenant_id', true),
        pg_catalog.current_setting('mt.principal_id', true)) operator(pg_catalog.<>) ''
    then
        raise exception 'the tenant of this transaction was not set by what opened it'
            using errcode = 'insufficient_privilege';
    end if;
    if pg_catalog.current_setting('mt.without_tenant', true) operator(pg_catalog.=) 'empty' then
        return null;
    end if;
    raise exception 'no tenant is set'
        using errcode = 'MT002', hint = 'An isolated table is read and written in a transaction of a tenant.';
end $body$;
revoke execute on function mt.required_tenant_id() from public;
grant execute on function mt.required_tenant_id() to mt_app, mt_authority;

-- As in 0003_isolate.sql, but for the function in the policy.
create or replace function mt.isolate(target regclass) returns void language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    found_kind "char";
    found_schema name;
    found_name name;
    column_number smallint;
    offender text;
    guard constant text := 'tenant_id = (select mt.required_tenant_id())';
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
    -- constraint that excludes. A column that an index only includes (`include`) is not in its key.
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

-- The tables that are isolated already, if they are of this owner. `mt.isolate` does the same for any other.
do $$
declare
    isolated regclass;
begin
    for isolated in
        select p.polrelid from pg_policy p join pg_class c on c.oid = p.polrelid
            where p.polname = 'mt_isolation' and c.relowner = current_user::regrole
            and pg_get_expr(p.polqual, p.polrelid)
                = '(tenant_id = ( SELECT mt.sealed_tenant_id() AS sealed_tenant_id))'
    loop
        execute format('alter policy mt_isolation on %s using (tenant_id = (select mt.required_tenant_id())) '
            'with check (tenant_id = (select mt.required_tenant_id()))', isolated);
    end loop;
end $$;
