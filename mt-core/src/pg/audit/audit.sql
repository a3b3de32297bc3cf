-- Every way in which the catalogue breaks the isolation of tenants, as (rule, object, detail).
-- $1: the schemas to look at; $2: the roles that transactions run as; $3: the one of them that may
-- see all tenants. Readable by any role; nothing is changed.

with roles as (
    select r.oid, r.rolname from pg_roles r where r.rolname = any ($2)
), tables as (
    select c.oid, c.relowner, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
        c.relacl, format('%I.%I', n.nspname, c.relname) as name,
        -- The tenant's own table is keyed by its id.
        (select a.attnum from pg_attribute a
            where a.attrelid = c.oid and not a.attisdropped and a.attname
                = case when n.nspname = 'mt' and c.relname = 'tenants' then 'id'
                    else 'tenant_id' end) as tenant,
        exists (select 1 from roles r where has_any_column_privilege(r.oid, c.oid, 'select')
            or has_any_column_privilege(r.oid, c.oid, 'insert')
            or has_any_column_privilege(r.oid, c.oid, 'update')
            or has_table_privilege(r.oid, c.oid, 'delete')) as reachable
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any ($1) and c.relkind in ('r', 'p')
), keyed as (
    -- A partition that nobody is let at is as good as its parent.
    select * from tables where tenant is not null and (reachable or not relispartition)
), guarded as (
    -- The library has policies on all of its own tables, whoever a row belongs to.
    select * from keyed
    union
    select * from tables where name ~ '^mt\.' and name <> 'mt.schema_migrations'
), policies as (
    select p.polname, p.polcmd, p.polpermissive, t.name,
        coalesce(pg_get_expr(p.polqual, p.polrelid), '') as sees,
        coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as writes,
        0::oid = any (p.polroles) as is_for_everybody,
        p.polroles = array[(select r.oid from pg_roles r where r.rolname = $3)] as is_system
    from pg_policy p join tables t on t.oid = p.polrelid
), own_policies (name, polname) as (
    values ('mt.tenants', 'tenant'), ('mt.tenants', 'own'), ('mt.tenants', 'system'),
        ('mt.tenants', 'authority'), ('mt.users', 'authority'), ('mt.memberships', 'authority'),
        ('mt.users', 'own'), ('mt.users', 'fellow'), ('mt.users', 'system'),
        ('mt.memberships', 'tenant'), ('mt.memberships', 'own'), ('mt.memberships', 'system'),
        ('mt.invites', 'tenant'), ('mt.invites', 'system'), ('mt.magic_links', 'system'),
        ('mt.webhook_events', 'system'), ('mt.billing_customers', 'tenant'),
        ('mt.billing_customers', 'system'), ('mt.checkout_sessions', 'tenant'),
        ('mt.checkout_sessions', 'system'), ('mt.outbox', 'tenant'), ('mt.subscriptions', 'system'),
        ('mt.invoices', 'system'), ('mt.webhook_attempts', 'system'), ('mt.outbox', 'system'),
        ('mt.idempotency_keys', 'own'), ('mt.idempotency_keys', 'system'),
        ('mt.principal_idempotency_keys', 'system'),
        ('mt.audit_log', 'tenant'), ('mt.audit_log', 'system'),
        ('mt.provider_calls', 'tenant'), ('mt.provider_calls', 'system'),
        ('mt.former_customers', 'system')
), views as (
    select c.oid, c.relkind, c.reloptions, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any ($1) and c.relkind in ('v', 'm')
        and exists (select 1 from roles r where has_any_column_privilege(r.oid, c.oid, 'select'))
), routines as (
    select p.oid, p.proconfig, p.proacl, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = any ($1) and p.prosecdef
)
select 'rls-disabled' as rule, name as object, null::text as detail
    from guarded where not relrowsecurity
union all
select 'rls-not-forced', name, null from guarded
    where relrowsecurity and not relforcerowsecurity
union all
select 'tenant-missing', name, null from tables where tenant is null and reachable
union all
select 'tenant-nullable', k.name, null from keyed k
    join pg_attribute a on a.attrelid = k.oid and a.attnum = k.tenant where not a.attnotnull
union all
select 'command-without-policy', k.name, format('%s of %I', command.word, r.rolname)
    from keyed k cross join roles r
    cross join (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete'))
        as command (letter, word)
    where k.relrowsecurity
        and case command.letter when 'd' then has_table_privilege(r.oid, k.oid, 'delete')
            else has_any_column_privilege(r.oid, k.oid, command.word) end
        and not exists (select 1 from pg_policy p
            where p.polrelid = k.oid and p.polpermissive and p.polcmd in ('*', command.letter)
                and (p.polroles = array[0::oid] or r.oid = any (p.polroles)))
union all
select 'policy-missing', o.name, o.polname from own_policies o
    where 'mt' = any ($1)
        and not exists (select 1 from policies p where (p.name, p.polname::text) = (o.name, o.polname))
union all
select 'policy-always-true', name, polname from policies
    where polpermissive and not is_system and 'true' in (sees, writes)
union all
select 'policy-ignores-tenant', name, polname from policies
    where polpermissive and not is_system and 'true' not in (sees, writes)
        and sees || writes !~ 'mt\.tenant_id'
union all
select 'policy-per-row', name, polname from policies
    where sees || writes ~ 'current_setting' and sees || writes !~* '\( *select '
union all
select 'policy-for-everybody', name, polname from policies
    where polpermissive and is_for_everybody
union all
select 'role-skips-policies', rolname, null from pg_roles
    where rolname = any ($2) and (rolsuper or rolbypassrls)
union all
select 'role-makes-roles', rolname, null from pg_roles
    where rolname = any ($2) and (rolcreaterole or rolcreatedb)
union all
select 'role-owns', t.name, r.rolname from tables t, roles r
    where pg_has_role(r.oid, t.relowner, 'member')
union all
select 'privilege-past-policies', t.name, format('%s to %I', p.word, r.rolname)
    from tables t, roles r, (values ('truncate'), ('trigger'), ('references')) as p (word)
    where has_table_privilege(r.oid, t.oid, p.word)
union all
select 'privilege-of-public', t.name, acl.privilege_type
    from tables t, aclexplode(t.relacl) acl where acl.grantee = 0
union all
select 'role-creates', s.name, r.rolname from unnest($1) as s (name), roles r
    where to_regnamespace(quote_ident(s.name)) is not null
        and has_schema_privilege(r.oid, s.name, 'create')
union all
-- With the rights of the role that sees all tenants at hand, a bare query of the login sees them.
select 'login-inherits', l.rolname, s.rolname from pg_roles l, pg_roles s
    where l.rolname = session_user and s.rolname = $3 and not l.rolsuper and pg_has_role(l.oid, s.oid, 'usage')
union all
select 'view-of-its-owner', name, null from views
    where relkind = 'v' and not coalesce(reloptions && array['security_invoker=true',
        'security_invoker=on', 'security_invoker=1', 'security_invoker=yes'], false)
union all
select 'materialized-view', name, null from views where relkind = 'm'
union all
select 'definer-unpinned', name, null from routines
    where not exists (select 1 from unnest(coalesce(proconfig, '{}')) setting
        where setting like 'search\_path=%')
union all
select 'definer-executable', name, null from routines f
    where exists (select 1 from roles r where has_function_privilege(r.oid, f.oid, 'execute'))
union all
select 'foreign-key-omits-tenant', t.name, k.conname
    from pg_constraint k join keyed t on t.oid = k.conrelid join keyed r on r.oid = k.confrelid
    where k.contype = 'f' and not exists (select 1 from generate_subscripts(k.conkey, 1) i
        where k.conkey[i] = t.tenant and k.confkey[i] = r.tenant)
union all
select 'unique-omits-tenant', t.name, c.relname
    from pg_index i join keyed t on t.oid = i.indrelid join pg_class c on c.oid = i.indexrelid
    where (i.indisunique or i.indisexclusion)
        and t.tenant <> all ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
union all
select 'index-missing', t.name, null from keyed t
    where not exists (select 1 from pg_index i where i.indrelid = t.oid and i.indkey[0] = t.tenant)
union all
select 'server-outdated', 'PostgreSQL', current_setting('server_version')
    from (select current_setting('server_version_num')::int as number) v
    where v.number < 150020 or v.number between 160000 and 160015
        or v.number between 170000 and 170011 or v.number between 180000 and 180006
order by 1, 2, 3
