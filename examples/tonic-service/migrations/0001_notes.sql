-- Notes of workspaces. Ids are UUIDv7, so their order is the order in which the notes were written.

create table notebook.notes (
    tenant_id uuid not null,
    id        uuid not null,
    text      text not null,
    constraint notes_pkey primary key (tenant_id, id)
);
select mt.isolate('notebook.notes');
