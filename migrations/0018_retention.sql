-- Rows that users make do not stay for ever.

set local lock_timeout = '2s';

-- Entries of the audit log are deleted by age, and those of the last 30 days by nothing but the deletion of their
-- tenant: a policy for each command narrows what `mt_system` may delete, whatever statement it runs.
grant delete on mt.audit_log to mt_system;
drop policy system on mt.audit_log;
create policy system on mt.audit_log for select to mt_system using (true);
create policy system_adds on mt.audit_log for insert to mt_system with check (true);
create policy old_entries on mt.audit_log for delete to mt_system
    using (at < now() - interval '30 days');
create index audit_log_at_idx on mt.audit_log (at);

create index invites_expires_at_idx on mt.invites (expires_at);

-- A session that was left. One that was completed stays: it is a claim of its customer.
create index checkout_sessions_left_idx on mt.checkout_sessions (created_at) where customer_id is null;
-- Which customer a session was made for and where its page is, so that it can be shown again while it is open.
alter table mt.checkout_sessions add column made_for text, add column url text;
