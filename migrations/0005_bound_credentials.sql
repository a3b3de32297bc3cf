-- A credential may be bound to one tenant, such as an API key of that tenant. In a transaction of one
-- principal it then sees that membership alone, and of the tenants, which follow the memberships, that one.
--
-- While mt.bound_tenant_id is not set nothing is narrower than before, so an older server does not notice.

set local lock_timeout = '2s';

alter policy own on mt.memberships
    using (principal_id = (select nullif(current_setting('mt.principal_id', true), '')::uuid)
        and (select nullif(current_setting('mt.tenant_id', true), '')) is null
        and coalesce(
            tenant_id = (select nullif(current_setting('mt.bound_tenant_id', true), '')::uuid), true));
