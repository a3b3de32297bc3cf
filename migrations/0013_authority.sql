-- Who decides what a member may do reads three rows and no more, as mt_authority: the user, the membership
-- and the tenant that the transaction is about.
--
-- mt_app could read them too, and did. But its policies also show a principal's other memberships and the
-- other members, and Postgres sets all of that up each time: two thirds of what reading the facts took.
-- `create policy` waits for whoever reads the table.
set local lock_timeout = '2s';

grant usage on schema mt to mt_authority;
grant select (id, generation) on mt.users to mt_authority;
grant select (tenant_id, principal_id, role) on mt.memberships to mt_authority;
grant select (id, plan, subscription_status, past_due_since, suspension) on mt.tenants to mt_authority;

create policy authority on mt.users for select to mt_authority
    using (id = (select nullif(current_setting('mt.principal_id', true), '')::uuid));
create policy authority on mt.memberships for select to mt_authority
    using (principal_id = (select nullif(current_setting('mt.principal_id', true), '')::uuid)
        and tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
create policy authority on mt.tenants for select to mt_authority
    using (id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
