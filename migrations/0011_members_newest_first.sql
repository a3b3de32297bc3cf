-- Members are listed by when they joined, the newest first: one walk along an index.
--
-- Not made concurrently: that would wait for whoever waits to migrate as well.

set local lock_timeout = '2s';

create index memberships_joined_idx
    on mt.memberships (tenant_id, created_at desc, principal_id desc);
