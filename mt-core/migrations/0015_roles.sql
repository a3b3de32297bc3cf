-- Custom roles: roles that a tenant makes itself, beside those of the program.
--
-- A custom role is a set of the program's permissions. It is based on one of the program's roles, whose rules about
-- members it has and whose name is shown. A membership or an invite with a custom role has both: `role_id`, and in `role`
-- the role that it is based on, which is what a server of the previous release reads.

set local lock_timeout = '2s';

create table mt.roles (
    tenant_id   uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id          uuid not null,
    name        text not null constraint roles_name_check check (char_length(name) between 1 and 200),
    based_on    text not null,
    -- Words of the program. One that the program does not know grants nothing.
    permissions text[] not null
        constraint roles_permissions_check check (array_position(permissions, null) is null),
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint roles_name_key unique (tenant_id, name),
    -- What memberships and invites refer to.
    constraint roles_based_on_key unique (tenant_id, id, based_on)
);

-- Memberships and invites -------------------------------------------------------------------------
--
-- The foreign keys have three columns, so that `role` is the role that the custom role is based on. They do not say
-- `cascade`: a role that a member or an invite has cannot be deleted.
--
-- The constraints are not added `not valid`, and the indexes are not made concurrently: no row has a custom role yet, so
-- each is one pass over the table.

alter table mt.memberships
    add column role_id uuid,
    add constraint memberships_role_fkey
        foreign key (tenant_id, role_id, role) references mt.roles (tenant_id, id, based_on),
    -- The owner's role is the program's: no change of a custom role takes the last owner's permissions away.
    add constraint memberships_owner_check check (role_id is null or not is_owner);
create index memberships_role_id_idx on mt.memberships (tenant_id, role_id) where role_id is not null;

alter table mt.invites
    add column role_id uuid,
    add constraint invites_role_fkey
        foreign key (tenant_id, role_id, role) references mt.roles (tenant_id, id, based_on);
create index invites_role_id_idx on mt.invites (tenant_id, role_id) where role_id is not null;

-- A statement that gives another role and does not know custom roles takes the custom role away: those of servers of the
-- previous release, and of consoles.
create function mt.leave_custom_role() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    new.role_id = null;
    return new;
end $$;
revoke execute on function mt.leave_custom_role() from public;
create trigger memberships_leave_custom_role
    before update of role on mt.memberships
    for each row when (new.role_id is not null and new.role_id = old.role_id and new.role <> old.role)
    execute function mt.leave_custom_role();
create trigger invites_leave_custom_role
    before update of role on mt.invites
    for each row when (new.role_id is not null and new.role_id = old.role_id and new.role <> old.role)
    execute function mt.leave_custom_role();

-- What a custom role grants, for an access decision. A function instead of a subquery: Postgres prepares a subquery for
-- each run of a statement, also for members without a custom role.
create function mt.granted_by(tenant uuid, role uuid) returns text[] language plpgsql stable as $$
begin
    -- Names and operators are qualified instead of a search path, which would be set and reset at each call.
    return coalesce((select r.permissions from mt.roles r
        where r.tenant_id operator(pg_catalog.=) tenant and r.id operator(pg_catalog.=) role), '{}');
end $$;
revoke execute on function mt.granted_by(uuid, uuid) from public;
grant execute on function mt.granted_by(uuid, uuid) to mt_authority;

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.roles enable row level security, force row level security;

create policy system on mt.roles to mt_system using (true) with check (true);
create policy tenant on mt.roles to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));
-- An access decision reads what the custom role of the membership grants.
create policy authority on mt.roles for select to mt_authority
    using (tenant_id = (select mt.sealed_tenant_id()));

-- The role that a custom role is based on does not change.
grant select, insert, delete, update (name, permissions, updated_at) on mt.roles to mt_app;
grant update (role_id) on mt.memberships to mt_app;
grant select (role_id) on mt.invites to mt_app;

grant select (role_id) on mt.memberships to mt_authority;
grant select (tenant_id, id, permissions) on mt.roles to mt_authority;

grant select, insert, update, delete on mt.roles to mt_system;
