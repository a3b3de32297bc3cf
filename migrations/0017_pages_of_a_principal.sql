-- A page of a principal's tenants, or of a tenant's members, costs as much as the page and not as much as the list.
--
-- Both policies asked `in (select …)` or an `exists` that Postgres may turn into a hash of all of a principal's
-- tenants, or of all of a tenant's members, for each statement. `offset 0` keeps the subquery one look into the
-- primary key for each row that is shown.
--
-- `alter policy` waits for transactions that read the table.
set local lock_timeout = '2s';

alter policy own on mt.tenants
    using ((select nullif(current_setting('mt.tenant_id', true), '')) is null
        and exists (select from mt.memberships m
            where m.tenant_id = tenants.id
                and m.principal_id
                    = (select nullif(current_setting('mt.principal_id', true), '')::uuid)
            offset 0));
alter policy fellow on mt.users
    using (exists (select from mt.memberships m
        where m.tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid)
            and m.principal_id = users.id
        offset 0));

-- How many tenants a principal owns is counted before one more is made.
create index memberships_owned_idx on mt.memberships (principal_id) where is_owner;
