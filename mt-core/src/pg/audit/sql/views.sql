-- Views and functions that run with their owner's rights, in any schema.

, views as (
    select v.oid, v.relkind, v.name, o.detail,
        -- Postgres accepts each spelling of a boolean here.
        coalesce((select option_value::boolean from pg_options_to_table(v.reloptions)
            where option_name = 'security_invoker'), false) as invokes
    from relations v join owners o on o.oid = v.relowner
    where v.relkind in ('v', 'm') and v.reachable
), routines as (
    select p.oid, p.proconfig, o.detail,
        format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name
    from pg_proc p join schemas s on s.oid = p.pronamespace join owners o on o.oid = p.proowner
    where p.prosecdef
)
select 'view-of-its-owner' as rule, name as object, detail from views
    where relkind = 'v' and not invokes and oid in (select oid from shows)
union all
-- The result of a function may belong to any tenant.
select 'materialized-view', name, detail from views v
    where relkind = 'm' and (oid in (select oid from shows) or exists (
        select from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
        where w.ev_class = v.oid and d.refclassid = 'pg_proc'::regclass))
union all
select 'definer-unpinned', name, null from routines
    where not exists (select from unnest(coalesce(proconfig, '{}')) setting
        where setting like 'search\_path=%')
union all
select 'definer-executable', name, detail from routines f
    where exists (select from roles r where has_function_privilege(r.oid, f.oid, 'execute'))
        -- A trigger function needs no such privilege.
        or exists (select from pg_trigger t join relations r on r.oid = t.tgrelid
            where t.tgfoid = f.oid and not t.tgisinternal and r.reachable)
