-- The permissive policies of application tables, for `policy.rs`. Policies of the library's tables are compared with
-- those that the migrations create.

select t.name as table, p.polname::text as name,
    pg_get_expr(p.polqual, p.polrelid) as sees, pg_get_expr(p.polwithcheck, p.polrelid) as writes,
    (select a.attname::text from pg_attribute a where a.attrelid = t.oid and a.attnum = t.tenant) as tenant,
    array(select coalesce(r.rolname, 'public')::text from unnest(p.polroles) role (oid)
        left join pg_roles r on r.oid = role.oid order by 1) as roles
from pg_policy p join tables t on t.oid = p.polrelid
where p.polpermissive and t.nspname <> 'mt'
order by 1, 2
