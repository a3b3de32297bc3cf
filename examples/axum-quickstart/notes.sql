-- The quickstart's own table, for a database that `mt-server migrate` has been run on.

create table public.notes (
    tenant_id uuid not null,
    id        uuid not null default gen_random_uuid(),
    text      text not null,
    primary key (tenant_id, id)
);
select mt.isolate('public.notes');
