-- Tables: row-level security, the tenant of a row, and a policy for each granted command.

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
select 'foreign-table', f.name, d.srvname::text from relations f
    join pg_foreign_table t on t.ftrelid = f.oid join pg_foreign_server d on d.oid = t.ftserver
    where f.reachable
union all
select 'command-without-policy', k.name, format('%s of %I', command.word, r.rolname)
    from keyed k cross join roles r
    cross join (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete'))
        as command (letter, word)
    where k.relrowsecurity
        and case command.letter when 'd' then has_table_privilege(r.oid, k.oid, 'delete')
            else has_any_column_privilege(r.oid, k.oid, command.word) end
        and not exists (select from pg_policy p
            where p.polrelid = k.oid and p.polpermissive and p.polcmd in ('*', command.letter)
                -- A policy for a role applies to each role that inherits it.
                and exists (select from unnest(p.polroles) role (oid)
                    where role.oid = 0 or pg_has_role(r.oid, role.oid, 'usage')))
