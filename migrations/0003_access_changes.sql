-- Says which memberships have changed, for processes that remember them (`pg::AccessChanges`).
--
-- By trigger and not by the statements of the library, so that a change made at a console counts too.
-- A notice is sent when its transaction commits, and lost by those who do not listen: it saves them
-- waiting and is nothing that correctness rests on.

create function mt.tell_access_changed() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    case tg_table_name
        when 'memberships' then
            perform pg_notify('mt_access', 'membership ' || old.tenant_id || ' ' || old.principal_id);
        when 'tenants' then
            perform pg_notify('mt_access', 'tenant ' || old.id);
        when 'users' then
            perform pg_notify('mt_access', 'principal ' || old.id);
    end case;
    return null;
end $$;
revoke execute on function mt.tell_access_changed() from public;

-- That somebody is no member is not remembered, so an insert has nothing to say. A tenant or a user
-- that goes takes its memberships along, and those speak.
create trigger memberships_tell_access_changed
    after update of role or delete on mt.memberships
    for each row execute function mt.tell_access_changed();
create trigger tenants_tell_access_changed
    after update of plan, subscription_status, past_due_since, suspension on mt.tenants
    for each row
    when ((old.plan, old.subscription_status, old.past_due_since, old.suspension)
        is distinct from (new.plan, new.subscription_status, new.past_due_since, new.suspension))
    execute function mt.tell_access_changed();
create trigger users_tell_access_changed
    after update of generation on mt.users
    for each row execute function mt.tell_access_changed();
