-- Privileges on tables, columns, schemas, the database and future objects, and publications.

, base as (
    select d.datname, d.datdba, coalesce(d.datacl, acldefault('d', d.datdba)) as acl
    from pg_database d where d.datname = current_database()
), catalogue as (
    select p.name, p.acl, coalesce(i.initprivs, p.default_acl) as initial
    from (select c.oid, 'pg_class'::regclass as class, format('%I.%I', n.nspname, c.relname) as name,
                c.relacl as acl, acldefault('r', c.relowner) as default_acl
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'pg_catalog'
        union all
        select f.oid, 'pg_proc', format('%I.%I(%s)', n.nspname, f.proname,
                pg_get_function_identity_arguments(f.oid)), f.proacl, acldefault('f', f.proowner)
            from pg_proc f join pg_namespace n on n.oid = f.pronamespace
            where n.nspname = 'pg_catalog') p
    left join pg_init_privs i on i.classoid = p.class and i.objoid = p.oid and i.objsubid = 0
), defaults as (
    select o.rolname as owner, d.defaclobjtype as kind, s.nspname as schema, acl.grantee, acl.privilege_type
    from pg_default_acl d cross join aclexplode(d.defaclacl) acl join pg_roles o on o.oid = d.defaclrole
    left join pg_namespace s on s.oid = d.defaclnamespace
    where acl.grantee = 0 or acl.grantee in (select oid from roles)
)
select 'privilege-past-policies' as rule, t.name as object, format('%s to %I', p.word, r.rolname) as detail
    from tables t, roles r, (values ('truncate'), ('trigger'), ('references')) as p (word)
    where has_table_privilege(r.oid, t.oid, p.word)
        or p.word = 'references' and has_any_column_privilege(r.oid, t.oid, p.word)
union all
-- Statistics contain values of rows, and some functions read files: Postgres grants those to no role of transactions.
select 'privilege-past-policies', p.name,
        format('%s to %s', lower(acl.privilege_type), coalesce(quote_ident(r.rolname), 'public'))
    from catalogue p cross join aclexplode(p.acl) acl left join roles r on r.oid = acl.grantee
    where r.oid is not null or acl.grantee = 0 and not exists (
        select from aclexplode(p.initial) was where was.grantee = 0 and was.privilege_type = acl.privilege_type)
union all
select 'privilege-of-public', t.name, acl.privilege_type
    from tables t, aclexplode(t.relacl) acl where acl.grantee = 0
union all
select 'privilege-of-public', t.name, format('%s (%I)', acl.privilege_type, a.attname)
    from tables t join pg_attribute a on a.attrelid = t.oid and not a.attisdropped, aclexplode(a.attacl) acl
    where acl.grantee = 0
union all
select 'role-creates', s.nspname, r.rolname from schemas s, roles r
    where has_schema_privilege(r.oid, s.oid, 'create')
union all
select 'role-creates', b.datname, r.rolname from base b, roles r
    where has_database_privilege(r.oid, b.datname, 'create')
union all
select 'temporary-tables', b.datname,
        format('revoke temporary on database %I from %s', b.datname, g.name)
    from base b cross join (select 0::oid as oid, 'public' as name
        union all select oid, quote_ident(rolname) from roles) g
    where exists (select from aclexplode(b.acl) acl
        where acl.grantee = g.oid and acl.privilege_type = 'TEMPORARY')
union all
select 'connect-of-public', b.datname, format('grant connect on database %1$I to %2$s; '
        'revoke connect on database %1$I from public', b.datname,
        (select string_agg(quote_ident(l.rolname), ', ' order by l.rolname)
            from (select rolname from logins union select rolname from migrators) l))
    from base b where exists (select from aclexplode(b.acl) acl
        where acl.grantee = 0 and acl.privilege_type = 'CONNECT')
union all
select 'default-privilege', d.owner, format('%s on %s%s to %s', lower(d.privilege_type), k.word,
        ' in schema ' || quote_ident(d.schema), coalesce(quote_ident(r.rolname), 'public'))
    from defaults d join (values ('r', 'tables'), ('S', 'sequences'), ('n', 'schemas')) k (letter, word)
        on k.letter = d.kind::text
    left join roles r on r.oid = d.grantee
union all
select 'published', p.pubname, 'all tables' from pg_publication p where p.puballtables
union all
select 'published', p.pubname, t.name from pg_publication p
    join pg_publication_tables m on m.pubname = p.pubname
    join relations t on (t.nspname, t.relname) = (m.schemaname, m.tablename)
    where not p.puballtables and t.oid in (select oid from shows)
