-- The common beginning of the audit's queries. $1: the given schemas; $2: the roles of transactions; $3: the role
-- among them that sees all tenants; $4: further logins of the service. Any role may run it; it changes nothing.

with recursive roles as (
    select r.oid, r.rolname from pg_roles r where r.rolname = any ($2)
), told as (
    select r.oid, r.rolname, r.rolsuper from pg_roles r where r.rolname = session_user or r.rolname = any ($4)
), logins as (
    select * from told
    union
    -- A login of the same service, according to the catalogue: it may connect by a grant of its own, and one of the
    -- two may become the other.
    select r.oid, r.rolname, r.rolsuper from pg_roles r join told t on not t.rolsuper and not r.rolsuper
        and (pg_has_role(r.oid, t.oid, 'member') or pg_has_role(t.oid, r.oid, 'member'))
    where r.rolcanlogin and exists (select from pg_database d cross join aclexplode(d.datacl) acl
        where d.datname = current_database() and acl.grantee = r.oid and acl.privilege_type = 'CONNECT')
), people as (
    -- These roles, and the logins that may become them.
    select r.oid, r.rolname, r.rolname = any ($2) as is_role, r.rolsuper, r.rolbypassrls, r.rolreplication,
        r.rolcreaterole, r.rolcreatedb
    from pg_roles r where r.oid in (select oid from roles union select oid from logins)
), schemas as (
    select n.oid, n.nspname, n.nspname = any ($1) as named,
        exists (select from roles r where has_schema_privilege(r.oid, n.oid, 'usage')) as usable
    from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
), relations as (
    select c.oid, c.relowner, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relacl,
        c.reloptions, s.named, s.nspname, c.relname, format('%I.%I', s.nspname, c.relname) as name,
        -- The table of tenants is keyed by its id.
        (select a.attnum from pg_attribute a
            where a.attrelid = c.oid and not a.attisdropped
                and a.attname = case when s.nspname = 'mt' and c.relname = 'tenants' then 'id'
                    else 'tenant_id' end) as tenant,
        -- In a given schema a privilege counts even if the schema may not be used yet.
        (s.named or s.usable) and exists (select from roles r
            where has_any_column_privilege(r.oid, c.oid, 'select')
                or has_any_column_privilege(r.oid, c.oid, 'insert')
                or has_any_column_privilege(r.oid, c.oid, 'update')
                or has_table_privilege(r.oid, c.oid, 'delete')) as reachable
    from pg_class c join schemas s on s.oid = c.relnamespace where c.relkind in ('r', 'p', 'f', 'v', 'm')
), tables as (
    -- Tables of other schemas count if they can be reached, except for those of extensions.
    select * from relations t where relkind in ('r', 'p') and (named or reachable and not exists
        (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = t.oid and d.deptype = 'e'))
), keyed as (
    -- A partition without privileges is protected by its parent.
    select * from tables where tenant is not null and (reachable or not relispartition)
), guarded as (
    -- All tables of the library have policies, whether or not a row belongs to a tenant.
    select * from keyed
    union
    select * from tables where nspname = 'mt' and relname <> 'schema_migrations'
), shows (oid) as (
    -- Relations with rows of tenants, in any schema: tables, and views on them, directly or through others.
    select r.oid from relations r
    where r.relkind in ('r', 'p', 'f')
        and (r.tenant is not null or r.nspname = 'mt' and r.relname <> 'schema_migrations')
    union
    select w.ev_class from shows s
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
        and d.classid = 'pg_rewrite'::regclass
    join pg_rewrite w on w.oid = d.objid
), owners as (
    -- An owner whom no policy binds is worse for everything that runs with its rights.
    select r.oid, case when r.rolsuper or r.rolbypassrls
        then format('no policy binds its owner, %I', r.rolname) end as detail
    from pg_roles r
), owner as (
    -- The role that runs migrations.
    select relowner as oid from tables where name = 'mt.tenants'
), migrators as (
    -- They may become the owner and create schemas here, which logins of another service may not.
    select l.oid, l.rolname from pg_roles l
    where l.rolcanlogin and not l.rolsuper and has_database_privilege(l.oid, current_database(), 'create')
        and exists (select from owner o where pg_has_role(l.oid, o.oid, 'member'))
)
