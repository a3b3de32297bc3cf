-- Facts that break nothing by themselves.

, tenants_roles as (
    select * from roles where rolname <> $3
)
select 'sequence-shared' as rule, q.name as object, q.detail
    from (select c.oid, format('%I.%I', s.nspname, c.relname) as name, string_agg(distinct t.name, ', ') as detail,
            coalesce(bool_or(t.tenant is not null and exists (select from tenants_roles r
                where has_any_column_privilege(r.oid, t.oid, 'insert'))), false) as feeds_tenants
        from pg_class c join schemas s on s.oid = c.relnamespace
        left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid
            and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
        left join relations t on t.oid = d.refobjid
        where c.relkind = 'S' group by 1, 2) q
    where q.feeds_tenants or exists (select from tenants_roles r
        where has_sequence_privilege(r.oid, q.oid, 'usage, select, update'))
union all
select 'function-sets-tenant', format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
        case when has_function_privilege('public', p.oid, 'execute') then 'any role may call it' end
    from pg_proc p join schemas s on s.oid = p.pronamespace
    where s.nspname <> 'mt' and p.prokind in ('f', 'p')
        and exists (select from roles r where has_function_privilege(r.oid, p.oid, 'execute'))
        and (exists (select from unnest(coalesce(p.proconfig, '{}')) setting where setting ~* '^mt\.')
            or coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
                ~* '(set_config\W[^;]*|\mset\s+(local\s+|session\s+)?)["'']?mt["'']?\.')
union all
select 'login-reaches-system', r.rolname::text, null
    from pg_roles r join pg_roles s on s.rolname = $3
    where r.rolname = session_user and not r.rolsuper and pg_has_role(r.oid, s.oid, 'member')
