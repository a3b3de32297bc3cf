-- Messages that belong to no tenant: who asks for a link to sign in is not known yet. And messages that a
-- tenant's own transaction puts in, which it cannot read again.

set local lock_timeout = '2s';

alter table mt.outbox
    drop constraint outbox_pkey,
    drop constraint outbox_dedupe_key;
alter table mt.outbox
    alter column tenant_id drop not null,
    alter column tenant_id drop default,
    add constraint outbox_pkey primary key (id),
    add constraint outbox_dedupe_key unique nulls not distinct (tenant_id, dedupe_key);

create policy tenant on mt.outbox for insert to mt_app
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
grant insert (tenant_id, id, topic, dedupe_key, payload) on mt.outbox to mt_app;
