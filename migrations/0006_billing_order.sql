-- What keeps the projection of billing right when the order is not: the events of one second side by
-- side, answers of the provider's that cannot overtake each other, and which price table a tenant was
-- projected with.
--
-- States are converted in place, without an expand step: no release has written them yet.

-- Taken before the provider is asked, so that the answer to the later question wins.
create sequence mt.fetch_tickets as bigint;
grant usage on sequence mt.fetch_tickets to mt_system;

alter table mt.subscriptions
    -- What the provider answered when it was asked, and the ticket of that question.
    add column fetched jsonb,
    add column ticket bigint not null default 0,
    add column collection_paused boolean not null default false;
create index subscriptions_refetch_idx on mt.subscriptions (provider, updated_at)
    where needs_refetch;

-- One winner becomes a set of one. Times are Unix seconds, which compare as numbers. The owner has no
-- policy, and sees the rows only while row-level security is not forced on it.
alter table mt.subscriptions no force row level security;
update mt.subscriptions set state = jsonb_build_object(
    'group', jsonb_build_array(
        case state #>> '{key,phase}' when 'incomplete' then 0 when 'live' then 1 else 2 end,
        extract(epoch from (state #>> '{key,created}')::timestamptz)::bigint),
    'seen', jsonb_build_object(state #>> '{key,event}', jsonb_build_object(
        'rank', state #> '{key,rank}', 'after', state -> 'snapshot', 'before', null)),
    'settled', extract(epoch from (state ->> 'settled')::timestamptz)::bigint,
    'past_due', (select coalesce(jsonb_agg(extract(epoch from at::timestamptz)::bigint), '[]')
        from jsonb_array_elements_text(state -> 'past_due') as at));

alter table mt.invoices
    -- Nothing reads it any more.
    alter column outcome drop not null,
    add column status text not null default 'draft' constraint invoices_status_check
        check (status in ('draft', 'open', 'uncollectible', 'void', 'paid')),
    add column subscription_id text;
alter table mt.invoices no force row level security;
update mt.invoices set
    status = case outcome when 'paid' then 'paid' else 'open' end,
    subscription_id = state ->> 'subscription',
    state = jsonb_build_object(
        'id', state -> 'id', 'subscription', state -> 'subscription', 'prices', state -> 'prices',
        'status', case outcome when 'paid' then 4 else 1 end,
        'created', extract(epoch from (state ->> 'created')::timestamptz)::bigint,
        'first_seen', extract(epoch from (state #>> '{decided,0}')::timestamptz)::bigint,
        'first_failed', extract(epoch from (state ->> 'first_failed')::timestamptz)::bigint,
        'paid', case outcome when 'paid'
            then extract(epoch from (state #>> '{decided,0}')::timestamptz)::bigint end);

alter table mt.billing_customers
    -- The price table, by its fingerprint: who was projected with another is projected again.
    add column projected_with text;
alter table mt.billing_customers no force row level security;
-- Nobody knows with which. Who was never projected has nothing to be projected again.
update mt.billing_customers c set projected_with = '' where exists (
    select from mt.subscriptions s
    where s.provider = c.provider and s.account = c.account and s.customer_id = c.customer_id
    union all
    select from mt.invoices i
    where i.provider = c.provider and i.account = c.account and i.customer_id = c.customer_id);
alter table mt.billing_customers force row level security;
alter table mt.subscriptions force row level security;
alter table mt.invoices force row level security;
create index billing_customers_projected_idx
    on mt.billing_customers (provider, projected_with, tenant_id);
