-- Tickets of shops, and the comments on them.

create table helpdesk.tickets (
    tenant_id uuid not null default mt.tenant_id(),
    id        uuid not null,
    subject   text not null,
    status    text not null default 'open' check (status in ('open', 'closed')),
    primary key (tenant_id, id)
);
select mt.isolate('helpdesk.tickets');

create table helpdesk.comments (
    tenant_id uuid not null default mt.tenant_id(),
    id        uuid not null,
    ticket_id uuid not null,
    text      text not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, ticket_id) references helpdesk.tickets on delete cascade
);
create index comments_of_ticket on helpdesk.comments (tenant_id, ticket_id, id);
select mt.isolate('helpdesk.comments');
