-- The helpdesk's tables, made safe by mt.isolate.

create table helpdesk.tickets (
    tenant_id  uuid not null,
    id         uuid not null,
    number     bigint not null,
    subject    text not null,
    reference  text,
    status     text not null default 'open',
    label      text not null default 'urgent',
    assignee   uuid,
    deleted_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint tickets_pkey primary key (tenant_id, id),
    constraint tickets_reference_key unique (tenant_id, reference)
);

create table helpdesk.comments (
    tenant_id uuid not null,
    id        uuid not null,
    ticket_id uuid not null,
    text      text not null,
    constraint comments_pkey primary key (tenant_id, id),
    constraint comments_ticket_id_fkey foreign key (tenant_id, ticket_id)
        references helpdesk.tickets (tenant_id, id) on delete cascade
);
create index comments_ticket_idx on helpdesk.comments (tenant_id, ticket_id);

create table helpdesk.labels (
    tenant_id uuid not null,
    code      text not null,
    title     text not null,
    constraint labels_pkey primary key (tenant_id, code)
);

create table helpdesk.digests (
    tenant_id uuid not null,
    id        uuid not null,
    text      text not null,
    constraint digests_pkey primary key (tenant_id, id)
);

select mt.isolate('helpdesk.tickets');
select mt.isolate('helpdesk.comments');
select mt.isolate('helpdesk.labels');
select mt.isolate('helpdesk.digests');
