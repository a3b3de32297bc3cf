-- The attributes of the login and of the roles of transactions, the roles that they may become, and other logins.

, memberships (who, role) as (
    select p.oid, m.roleid from people p join pg_auth_members m on m.member = p.oid where not p.rolsuper
    union
    select s.who, m.roleid from memberships s join pg_auth_members m on m.member = s.role
)
select 'role-skips-policies' as rule, rolname::text as object,
        concat_ws(', ', case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypassrls' end,
            case when rolreplication then 'replication' end) as detail
    from people where rolsuper or rolbypassrls or rolreplication
union all
select 'role-makes-roles', rolname,
        concat_ws(', ', case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end)
    from people where (rolcreaterole or rolcreatedb) and not (rolsuper and not is_role)
union all
select 'role-may-become', p.rolname, format('%I, which %s', b.rolname, b.what)
    from memberships m join people p on p.oid = m.who
    join (select r.oid, r.rolname, case
            when r.rolsuper then 'is a superuser'
            when r.rolbypassrls then 'has BYPASSRLS'
            when r.rolreplication then 'may replicate'
            when r.rolcreaterole or r.rolcreatedb then 'may make roles or databases'
            when r.rolname ~ '^pg_' then 'reaches past the tables'' own privileges'
            when r.oid in (select relowner from tables) then 'owns tables'
            when r.rolname = $3 then 'sees all tenants' end as what
        from pg_roles r) b on b.oid = m.role
    -- The login may become it, and no other role.
    where b.what is not null and (b.what <> 'sees all tenants' or p.is_role)
union all
select 'role-owns', t.name, p.rolname from tables t, people p
    where case when p.is_role then pg_has_role(p.oid, t.relowner, 'member')
        else not p.rolsuper and t.relowner = p.oid end
union all
-- If the login inherits the role that sees all tenants, its queries outside of transactions see them.
select 'login-inherits', l.rolname, s.rolname from logins l, pg_roles s
    where s.rolname = $3 and not l.rolsuper and pg_has_role(l.oid, s.oid, 'usage')
union all
select 'other-login', l.rolname, string_agg(format('as %I', r.rolname), ', ' order by r.rolname)
    from pg_roles l join pg_roles r on (r.rolname = any ($2) or r.oid in (select oid from owner))
        and pg_has_role(l.oid, r.oid, 'member')
    where l.rolcanlogin and not l.rolsuper and l.oid not in (select oid from logins)
        and has_database_privilege(l.oid, current_database(), 'connect')
        and l.oid not in (select oid from migrators)
    group by l.rolname
