-- Letters that do not wait behind others, how long a letter of an invite is on its way, messages that are kept for
-- so long, and the networks from which an address has signed in.
--
-- The server before this one goes on working: it names none of the new columns.

set local lock_timeout = '2s';

-- Outbox ----------------------------------------------------------------------------------------

alter table mt.outbox
    -- Urgent messages have dispatchers of their own: a link to sign in waits behind no invite.
    add column is_urgent boolean not null default false;
grant insert (is_urgent) on mt.outbox to mt_app;

-- Not made concurrently: few messages are due, and fewer are urgent.
create index outbox_urgent_due_idx on mt.outbox (next_attempt_at, id)
    where is_urgent and status in ('pending', 'sending');
-- What may be deleted: messages, those of no tenant, and payloads. Not made concurrently: that would wait for other
-- transactions to end, and up to now a tenant has a message for each invite and each failed payment, which is few.
create index outbox_done_idx on mt.outbox (done_at) where done_at is not null;
create index outbox_done_of_no_tenant_idx on mt.outbox (done_at)
    where done_at is not null and tenant_id is null;
create index outbox_payload_idx on mt.outbox (done_at)
    where done_at is not null and payload <> 'null';

-- Invites ---------------------------------------------------------------------------------------
--
-- A repeated invite turns token_hash. While a letter is on its way, no other is sent, and the token in that letter
-- stays good beside the new one.

alter table mt.invites
    -- Of the token in the latest letter. Null: no letter was sent since this column is there.
    add column mailed_token_hash bytea,
    -- When that letter was put into the outbox.
    add column mailed_at timestamptz,
    add constraint invites_mailed_check
        check ((mailed_token_hash is null) = (mailed_at is null)) not valid;
alter table mt.invites validate constraint invites_mailed_check;
-- Not the hash: a tenant's transaction reads no stored token.
grant select (mailed_at) on mt.invites to mt_app;
-- Not made concurrently: it is empty at first.
create index invites_mailed_token_hash_idx on mt.invites (mailed_token_hash)
    where mailed_token_hash is not null;

-- Networks --------------------------------------------------------------------------------------
--
-- The requests of strangers for links to an address do not use up what the address may ask for from a network in
-- which a link of its was redeemed. A row is a keyed hash of both: it names neither.

create table mt.sign_in_networks (
    digest  bytea not null constraint sign_in_networks_pkey primary key
        constraint sign_in_networks_digest_check check (octet_length(digest) = 32),
    seen_at timestamptz not null default now()
);
create index sign_in_networks_seen_at_idx on mt.sign_in_networks (seen_at);

alter table mt.sign_in_networks enable row level security, force row level security;
create policy system on mt.sign_in_networks to mt_system using (true) with check (true);
grant select, insert, update, delete on mt.sign_in_networks to mt_system;
