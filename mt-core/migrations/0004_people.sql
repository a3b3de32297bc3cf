-- How people join and sign in: invites, magic links, and the networks from which an address has signed in.

-- Invites -----------------------------------------------------------------------------------------
--
-- A repeated invite replaces token_hash. While an e-mail is on its way, no second one is sent, and the token in that
-- e-mail stays valid beside the new one.

create table mt.invites (
    tenant_id         uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id                uuid not null,
    email             text not null,
    role              text not null,
    token_hash        bytea not null,
    -- The hash of the token in the latest e-mail; null if none was sent.
    mailed_token_hash bytea,
    -- When that e-mail was put into the outbox.
    mailed_at         timestamptz,
    invited_by        uuid not null,
    created_at        timestamptz not null default now(),
    expires_at        timestamptz not null,
    accepted_at       timestamptz,
    revoked_at        timestamptz,
    primary key (tenant_id, id),
    constraint invites_end_check check (accepted_at is null or revoked_at is null),
    constraint invites_mailed_check check ((mailed_token_hash is null) = (mailed_at is null))
);
-- An address has at most one open invite in a tenant. Inviting it again replaces the token.
create unique index invites_open_key on mt.invites (tenant_id, email)
    where accepted_at is null and revoked_at is null;
-- An invite is found by its token alone: the holder of a token does not name the tenant. So these two indexes do not
-- begin with tenant_id.
create index invites_token_hash_idx on mt.invites (token_hash);
create index invites_mailed_token_hash_idx on mt.invites (mailed_token_hash)
    where mailed_token_hash is not null;
create index invites_expires_at_idx on mt.invites (expires_at);

-- Magic links -------------------------------------------------------------------------------------

create table mt.magic_links (
    id         uuid primary key,
    email      text not null,
    token_hash bytea not null unique,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz,
    voided_at  timestamptz
);
create index magic_links_email_idx on mt.magic_links (email, id desc)
    where used_at is null and voided_at is null;
create index magic_links_expires_at_idx on mt.magic_links (expires_at);

-- Networks ----------------------------------------------------------------------------------------
--
-- An address has a separate quota of sign-in links for each network in which one of its links was redeemed, so that
-- requests of strangers do not use that quota up. A row is a keyed hash of the address and the network, and contains
-- neither.

create table mt.sign_in_networks (
    digest  bytea primary key check (octet_length(digest) = 32),
    seen_at timestamptz not null default now()
);
create index sign_in_networks_seen_at_idx on mt.sign_in_networks (seen_at);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.invites enable row level security, force row level security;
alter table mt.magic_links enable row level security, force row level security;
alter table mt.sign_in_networks enable row level security, force row level security;

create policy system on mt.invites to mt_system using (true) with check (true);
create policy system on mt.magic_links to mt_system using (true) with check (true);
create policy system on mt.sign_in_networks to mt_system using (true) with check (true);
create policy tenant on mt.invites to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));

-- All columns but the two hashes: a tenant's transaction reads no stored token.
grant select (tenant_id, id, email, role, mailed_at, invited_by, created_at, expires_at, accepted_at, revoked_at),
    insert, update, delete on mt.invites to mt_app;
grant select, insert, update, delete on mt.invites, mt.magic_links, mt.sign_in_networks to mt_system;
