-- The audit log: which actor did what to which target, in which tenant and request. The transaction of the change
-- writes the entry.
--
-- The roles of transactions add entries and read them. They cannot change them. Entries are deleted with their tenant,
-- and by age after 30 days at the earliest.

create table mt.audit_log (
    tenant_id   uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id          uuid not null,
    at          timestamptz not null default now(),
    actor_kind  text not null check (actor_kind in ('user', 'operator', 'provider', 'system')),
    -- A user, who may have left the tenant.
    actor_id    uuid,
    -- The name of an actor that is not a user.
    actor_name  text check (octet_length(actor_name) <= 255),
    action      text not null,
    target_kind text not null,
    target_id   uuid,
    -- Words, identifiers and numbers, never text that a user typed.
    detail      jsonb not null default '{}',
    request_id  text check (octet_length(request_id) <= 128),
    primary key (tenant_id, id),
    constraint audit_log_actor_check
        check ((actor_kind = 'user') = (actor_id is not null) and (actor_id is null) = (actor_name is not null))
);
create index audit_log_action_idx on mt.audit_log (tenant_id, action, id desc);
create index audit_log_actor_idx on mt.audit_log (tenant_id, actor_id, id desc);
create index audit_log_at_idx on mt.audit_log (at);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.audit_log enable row level security, force row level security;

create policy tenant on mt.audit_log to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
-- A policy for each command, so that no statement of mt_system deletes an entry of the last 30 days.
create policy system on mt.audit_log for select to mt_system using (true);
create policy system_adds on mt.audit_log for insert to mt_system with check (true);
create policy old_entries on mt.audit_log for delete to mt_system
    using (at < now() - interval '30 days');

grant select, insert on mt.audit_log to mt_app;
grant select, insert, delete on mt.audit_log to mt_system;
