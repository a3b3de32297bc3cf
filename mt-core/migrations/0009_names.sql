-- Names of tenants beside their id: a slug, and domains of their own that they prove by a DNS record.
--
-- Both are unique over all tenants. So two indexes do not begin with the tenant, and the audit has an exception for
-- each. A tenant that is deleted frees its slug and its domains.

set local lock_timeout = '2s';

-- Slugs -------------------------------------------------------------------------------------------
--
-- A slug is a label of a domain name. Labels with hyphens in the third and fourth place have another meaning (`xn--`,
-- RFC 5891 §4.2.3.1), and the form of an id would let one tenant be named like another's id.
--
-- The constraint is not added `not valid`, and the index is not made concurrently: no tenant has a slug yet, so each is
-- one pass over the tenants.

alter table mt.tenants add column slug text collate "C"
    constraint tenants_slug_check check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
        and slug !~ '^..--' and replace(slug, '-', '') !~ '^[0-9a-f]{32}$');
create unique index tenants_slug_key on mt.tenants (slug) where slug is not null;

grant update (slug) on mt.tenants to mt_app;

-- Domains -----------------------------------------------------------------------------------------
--
-- Any tenant may claim any domain. A claim becomes verified when its token is found in DNS, which only the holder of
-- the domain can put there. A tenant's transactions choose neither the token nor the time: SQL that is injected into
-- one can claim a domain, and cannot verify it, also not with the token that another tenant has published.

create table mt.domains (
    tenant_id     uuid not null default nullif(current_setting('mt.tenant_id', true), '')::uuid
        references mt.tenants (id) on delete cascade,
    id            uuid not null,
    -- In lower case, as A-labels (RFC 5890). The record's name is 14 bytes longer, and a name has at most 253.
    domain        text collate "C" not null
        constraint domains_domain_check check (octet_length(domain) <= 239 and domain ~
            '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    token         text not null
        default replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''),
    created_at    timestamptz not null default now(),
    verified_at   timestamptz,
    -- When the record of a verified domain was looked for last.
    checked_at    timestamptz,
    -- Since when the record of a verified domain has been missing.
    missing_since timestamptz,
    primary key (tenant_id, id),
    constraint domains_domain_key unique (tenant_id, domain),
    constraint domains_checked_check check (verified_at is null or checked_at is not null),
    constraint domains_missing_check check (verified_at is not null or missing_since is null)
);
-- A domain has at most one verified owner. A request for the domain is looked up here, before its tenant is known.
create unique index domains_verified_key on mt.domains (domain) where verified_at is not null;
-- The verified domains whose record was not looked for for the longest time.
create index domains_checked_at_idx on mt.domains (checked_at) where verified_at is not null;

alter table mt.domains enable row level security, force row level security;

create policy system on mt.domains to mt_system using (true) with check (true);
create policy tenant on mt.domains to mt_app
    using (tenant_id = (select mt.sealed_tenant_id())) with check (tenant_id = (select mt.sealed_tenant_id()));

grant select, insert (tenant_id, id, domain), delete on mt.domains to mt_app;
grant select, update (verified_at, checked_at, missing_since) on mt.domains to mt_system;
