-- Keys and indexes without the tenant, and the version of the server.

select 'foreign-key-omits-tenant' as rule, t.name as object, k.conname::text as detail
    from pg_constraint k join keyed t on t.oid = k.conrelid join keyed r on r.oid = k.confrelid
    where k.contype = 'f' and not exists (select from generate_subscripts(k.conkey, 1) i
        where k.conkey[i] = t.tenant and k.confkey[i] = r.tenant)
union all
select 'unique-omits-tenant', t.name, c.relname
    from pg_index i join keyed t on t.oid = i.indrelid join pg_class c on c.oid = i.indexrelid
    where (i.indisunique or i.indisexclusion)
        and t.tenant <> all ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
union all
select 'index-missing', t.name, null from keyed t
    where not exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = t.tenant)
union all
select 'server-outdated', 'PostgreSQL', current_setting('server_version')
    from (select current_setting('server_version_num')::int as number) v
    where v.number < 150020 or v.number between 160000 and 160015
        or v.number between 170000 and 170011 or v.number between 180000 and 180006
