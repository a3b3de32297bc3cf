-- Notes of notebooks.

create table notebook.notes (
    tenant_id uuid not null default mt.tenant_id(),
    id        uuid not null,
    text      text not null,
    primary key (tenant_id, id)
);
select mt.isolate('notebook.notes');
