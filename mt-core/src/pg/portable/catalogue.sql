-- Every table that could hold data of a tenant, with the facts that an inventory is checked against.
-- $1: the schemas of the library and of the application, all of whose tables count; in other schemas a table counts
-- if it has a tenant_id or references mt.tenants. $2: the role of tenants' transactions.

with tables as (
    select c.oid, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname) as quoted,
        n.nspname || '.' || c.relname as name,
        (select a.attnum from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
            and a.attname = 'tenant_id') as tenant
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition
        and n.nspname !~ '^(pg_|information_schema$)'
), keys as (
    -- By name and not by ::regclass, which a login that may not use the schema cannot.
    select k.conrelid, k.confrelid, r.name = 'mt.tenants' as to_tenant, k.confdeltype, k.conkey
    from pg_constraint k join tables r on r.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0
)
select t.name, t.quoted, t.tenant is not null as has_tenant,
    -- Whether its rows go when their tenant goes.
    exists (select 1 from keys k where k.conrelid = t.oid and k.to_tenant
        and k.confdeltype = 'c' and k.conkey = array[t.tenant]) as goes_with_tenant,
    array (select distinct r.name from keys k join tables r on r.oid = k.confrelid
        where k.conrelid = t.oid and r.oid <> t.oid order by 1) as refers_to,
    array (select a.attname::text from pg_attribute a
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by a.attnum) as columns,
    array (select format_type(a.atttypid, null) from pg_attribute a
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by a.attnum) as types,
    -- Whether a row cannot be written without it.
    array (select a.attnotnull and not a.atthasdef and a.attidentity = '' from pg_attribute a
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by a.attnum) as needed,
    array (select a.attname::text from pg_index i, unnest(i.indkey::smallint[]) with ordinality as k (attnum, nth)
        join pg_attribute a on a.attnum = k.attnum
        where i.indrelid = t.oid and i.indisprimary and a.attrelid = t.oid order by k.nth) as key,
    has_any_column_privilege($2, t.oid, 'select') as app_reads
from tables t
where t.nspname = any ($1) or t.tenant is not null
    or exists (select 1 from keys k where k.conrelid = t.oid and k.to_tenant)
order by t.name
