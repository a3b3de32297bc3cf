-- The product: teams manage projects and tasks. Schema app, tables made safe by mt.isolate.

create table app.projects (
    tenant_id  uuid not null,
    id         uuid not null,
    name       text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint projects_pkey primary key (tenant_id, id)
);

create table app.tasks (
    tenant_id   uuid not null,
    id          uuid not null,
    project_id  uuid not null,
    title       text not null,
    description text,
    status      text not null default 'todo'
        constraint tasks_status_check check (status in ('todo', 'doing', 'done')),
    created_by  uuid not null,
    assigned_to uuid,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint tasks_pkey primary key (tenant_id, id),
    constraint tasks_project_id_fkey foreign key (tenant_id, project_id)
        references app.projects (tenant_id, id) on delete cascade,
    -- Whoever leaves takes no task along; `created_by` stays as history and points nowhere.
    constraint tasks_assigned_to_fkey foreign key (tenant_id, assigned_to)
        references mt.memberships (tenant_id, principal_id) on delete set null (assigned_to)
);
-- Each list walks one index in its order: ids are UUIDv7, newest first.
create index tasks_project_idx on app.tasks (tenant_id, project_id, id desc);
create index tasks_project_status_idx on app.tasks (tenant_id, project_id, status, id desc);
-- For the foreign key: removing a member looks for their tasks.
create index tasks_assigned_to_idx on app.tasks (tenant_id, assigned_to);

select mt.isolate('app.projects');
select mt.isolate('app.tasks');
