-- When a message of the outbox is of no use any more, and how many of its attempts count against it: one that
-- cannot be delivered now waits until it expires, and only failures use its attempts up.
--
-- The server before this one goes on working: it names none of the new columns.

set local lock_timeout = '2s';

alter table mt.outbox
    -- Null: its dispatcher's policy says how long it waits.
    add column expires_at timestamptz,
    -- Attempts in a row that failed, or that ended with their lease because their process was killed.
    add column strikes integer not null default 0;

-- A tenant's transaction says when its message expires.
grant insert (expires_at) on mt.outbox to mt_app;

-- What waits and what is dead, for metrics and for operators. Not made concurrently: few rows are either.
create index outbox_waiting_idx on mt.outbox (created_at) where status in ('pending', 'sending');
create index outbox_dead_idx on mt.outbox (id) where status = 'dead';
