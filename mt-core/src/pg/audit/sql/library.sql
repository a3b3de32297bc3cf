-- The objects of the library's schema that isolate tenants, as (kind, object, name, shape): a line for each policy,
-- privilege, function, trigger and owner. library.txt is the result in a database with the migrations alone.

select 'policy' as kind, format('mt.%I', c.relname) as object, p.polname::text as name,
        concat_ws(' ', case when not p.polpermissive then 'restrictive' end,
            'for', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                when 'd' then 'delete' else 'all' end,
            'to', (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
                from unnest(p.polroles) role (oid) left join pg_roles r on r.oid = role.oid),
            'using ' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g'),
            'with check ' || regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g')) as shape
    from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = to_regnamespace('mt')
union all
select 'privilege', p.object, coalesce(r.rolname, 'public'),
        lower(acl.privilege_type) || p.of || case when acl.is_grantable then ' with grant option' else '' end
    from (select format('mt.%I', c.relname) as object, '' as of, c.relowner as owner, c.relacl as acl
            from pg_class c where c.relnamespace = to_regnamespace('mt')
        union all
        select format('mt.%I', c.relname), format(' (%I)', a.attname), c.relowner, a.attacl
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            where c.relnamespace = to_regnamespace('mt') and not a.attisdropped
        union all
        select format('mt.%I(%s)', f.proname, pg_get_function_identity_arguments(f.oid)), '', f.proowner,
                coalesce(f.proacl, acldefault('f', f.proowner))
            from pg_proc f where f.pronamespace = to_regnamespace('mt')
        union all
        select 'mt', '', n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'mt') p
    cross join aclexplode(p.acl) acl left join pg_roles r on r.oid = acl.grantee
    where acl.grantee <> p.owner
union all
select 'function', format('mt.%I(%s)', f.proname, pg_get_function_identity_arguments(f.oid)), '',
        concat_ws(' ', case when f.prosecdef then 'definer' else 'invoker' end, l.lanname, f.provolatile,
            f.proconfig::text,
            left(encode(sha256(convert_to(coalesce(pg_get_function_sqlbody(f.oid), f.prosrc), 'UTF8')), 'hex'), 32))
    from pg_proc f join pg_language l on l.oid = f.prolang where f.pronamespace = to_regnamespace('mt')
union all
select 'trigger', format('mt.%I', c.relname), t.tgname, concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = to_regnamespace('mt') and not t.tgisinternal
union all
select 'owner', o.object, '', r.rolname
    from (select 'mt' as object, nspowner as owner from pg_namespace where nspname = 'mt'
        union all
        select format('mt.%I', c.relname), c.relowner from pg_class c
            where c.relnamespace = to_regnamespace('mt') and c.relkind in ('r', 'p', 'S')
        union all
        select format('mt.%I(%s)', f.proname, pg_get_function_identity_arguments(f.oid)), f.proowner
            from pg_proc f where f.pronamespace = to_regnamespace('mt')) o
    join pg_roles r on r.oid = o.owner
order by 1, 2, 3, 4
