-- Services: parts of the application that act in tenants without a user. The audit log names them, and `mt.sweeps` keeps
-- how far their work on all tenants has come.

set local lock_timeout = '2s';

alter table mt.audit_log drop constraint audit_log_actor_kind_check;
alter table mt.audit_log add constraint audit_log_actor_kind_check
    check (actor_kind in ('user', 'operator', 'provider', 'system', 'service')) not valid;
alter table mt.audit_log validate constraint audit_log_actor_kind_check;

-- Sweeps ------------------------------------------------------------------------------------------
--
-- A sweep visits each tenant once, in the order of their ids. One process at a time works on it: the one that holds the
-- lease. A sweep that was not finished when its process ended goes on after `reached`.

create table mt.sweeps (
    name         text primary key constraint sweeps_name_check check (octet_length(name) between 1 and 255),
    started_at   timestamptz not null,
    -- The last tenant of the pages that are done. Null: none is.
    reached      uuid,
    -- Null while it is under way.
    finished_at  timestamptz,
    holder       uuid not null,
    leased_until timestamptz not null
);

alter table mt.sweeps enable row level security, force row level security;
create policy system on mt.sweeps to mt_system using (true) with check (true);
grant select, insert, update, delete on mt.sweeps to mt_system;
