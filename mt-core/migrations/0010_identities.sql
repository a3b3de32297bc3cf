-- Identities at providers such as Clerk, Auth0 or Keycloak, and the time of a user's last sign-out.
--
-- A token of a provider names a subject. A row here maps it to a user. Such a token does not know the session
-- generation of the user; it has the time at which it was issued, which is compared with the time of the last sign-out.

set local lock_timeout = '2s';

-- Sign-out ----------------------------------------------------------------------------------------

alter table mt.users
    -- When `generation` last changed. Null: never.
    add column signed_out_at timestamptz;

-- A trigger, so that every statement that signs a user out does it for both kinds of credential: those of consoles, and
-- those of servers of the previous release, which do not know the column. The time never goes back, even if the clock
-- of a new primary does.
create function mt.keep_sign_out_time() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    new.signed_out_at = greatest(old.signed_out_at, clock_timestamp());
    return new;
end $$;
revoke execute on function mt.keep_sign_out_time() from public;
create trigger users_keep_sign_out_time
    before update of generation on mt.users
    for each row when (old.generation is distinct from new.generation)
    execute function mt.keep_sign_out_time();

-- Identities --------------------------------------------------------------------------------------
--
-- `id` is new for each link. A principal carries it, and the opening batch looks for it, so that an identity that was
-- unlinked opens no transaction, even if the subject was linked again to another user.

create table mt.identities (
    issuer       text not null
        constraint identities_issuer_check check (octet_length(issuer) between 1 and 255),
    -- OpenID Connect Core 1.0, section 2, allows 255 ASCII characters.
    subject      text not null
        constraint identities_subject_check check (octet_length(subject) between 1 and 255),
    id           uuid not null unique,
    principal_id uuid not null references mt.users (id) on delete cascade,
    created_at   timestamptz not null default now(),
    primary key (issuer, subject)
);
create index identities_principal_id_idx on mt.identities (principal_id);

-- Row-level security and privileges ---------------------------------------------------------------

alter table mt.identities enable row level security, force row level security;

create policy system on mt.identities to mt_system using (true) with check (true);
-- An access decision looks for the identity of its principal.
create policy authority on mt.identities for select to mt_authority
    using (principal_id = (select mt.sealed_principal_id()));

grant select (signed_out_at) on mt.users to mt_authority;
grant select (id, principal_id) on mt.identities to mt_authority;
grant select, insert, delete on mt.identities to mt_system;
