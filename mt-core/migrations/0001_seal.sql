-- The seal on the tenant of a transaction.
--
-- Any statement can change a setting such as mt.tenant_id. A policy that trusts the setting stops mistakes, but not an
-- SQL injection. Therefore mt.enter sets the tenant together with mt.seal: a digest of the settings, of the backend, of
-- the transaction and of a key that only the functions below can read. Policies compare rows with
-- mt.sealed_tenant_id(), which fails if the seal does not match.
--
-- The server decides which tenant a transaction may enter. It reads the key as mt_system, with a login that runs no
-- statement of a tenant, and shows mt.enter a ticket made with the key.
--
-- Every file of this folder runs as mt_owner (the migrator sends `set role mt_owner`), which then owns all objects.

-- Settings ----------------------------------------------------------------------------------------
--
-- The settings as they are, for column defaults and queries. After a transaction that set it, a setting is '' and not
-- null, hence nullif.

create function mt.tenant_id() returns uuid language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
    as $$ select nullif(current_setting('mt.tenant_id', true), '')::uuid $$;
create function mt.principal_id() returns uuid language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
    as $$ select nullif(current_setting('mt.principal_id', true), '')::uuid $$;
grant execute on function mt.tenant_id(), mt.principal_id() to mt_app, mt_system;

-- The key -----------------------------------------------------------------------------------------
--
-- 120 random bits in two sequences, because a function can read a sequence without running a query. Only the owner has
-- privileges on them, and no statement counts with them.

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

-- Seals this transaction for a tenant, a principal, and the tenant that the principal's credential is bound to. An
-- empty text stands for none. The digest is safe against extension of its message, because the message has one form.
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

-- Opens a transaction of a tenant or a principal for the server. `ticket` is the hexadecimal SHA-256 of the key and of
-- `enter BACKEND TENANT PRINCIPAL BOUND`; BACKEND is this backend, or 0 behind a pooler. A ticket that was observed
-- works on no other backend, and not after the message that opened the transaction.
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

-- Opens a transaction of the system. It needs no ticket, because mt_system sees all tenants anyway.
create procedure mt.enter_as_system(tenant text) language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    call mt.seal(tenant, '', '');
end $$;
revoke execute on procedure mt.enter_as_system(text) from public;
grant execute on procedure mt.enter_as_system(text) to mt_system;

-- Functions for policies --------------------------------------------------------------------------

-- mt.sealed_tenant_id(), mt.sealed_principal_id() and mt.sealed_bound_tenant_id() return the setting if the seal
-- matches, and null if nothing is set. Postgres calls them once for each table of a statement, so they must be fast:
-- they call no other function written in SQL, and qualify every name instead of setting a search path, which takes as
-- long as the rest.
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
