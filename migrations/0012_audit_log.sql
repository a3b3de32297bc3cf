-- Who did what to whom in which tenant, and in which request: written by the transaction that did it.
--
-- The roles of transactions may add to it and read it, and nothing else: it goes when its tenant goes.

set local lock_timeout = '2s';

create table mt.audit_log (
    tenant_id   uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        constraint audit_log_tenant_id_fkey references mt.tenants (id) on delete cascade,
    id          uuid not null,
    at          timestamptz not null default now(),
    actor_kind  text not null constraint audit_log_actor_kind_check
        check (actor_kind in ('user', 'operator', 'provider', 'system')),
    -- A user, member still or not.
    actor_id    uuid,
    -- What anybody else goes by.
    actor_name  text constraint audit_log_actor_name_check check (octet_length(actor_name) <= 255),
    action      text not null,
    target_kind text not null,
    target_id   uuid,
    -- Words, ids and numbers, never what somebody has typed.
    detail      jsonb not null default '{}',
    request_id  text constraint audit_log_request_id_check check (octet_length(request_id) <= 128),
    constraint audit_log_pkey primary key (tenant_id, id),
    constraint audit_log_actor_check
        check ((actor_kind = 'user') = (actor_id is not null) and (actor_id is null) = (actor_name is not null))
);
create index audit_log_action_idx on mt.audit_log (tenant_id, action, id desc);
create index audit_log_actor_idx on mt.audit_log (tenant_id, actor_id, id desc);

alter table mt.audit_log enable row level security, force row level security;
create policy system on mt.audit_log to mt_system using (true) with check (true);
create policy tenant on mt.audit_log to mt_app
    using (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid));
grant select, insert on mt.audit_log to mt_app, mt_system;
