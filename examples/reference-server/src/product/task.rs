//! Tasks, their queries, and the rule for changing them.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::id::PrincipalId;
use mt_core::pg::audit_log::NewEntry;
use mt_core::pg::{BeginError, CapPermit, PgError, Query, TenantRead, TenantTx, query_as};
use mt_core::text_enum::TextEnum as _;
use salvo_oapi::ToSchema;
use serde::{Serialize, Serializer};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::audit::{TASK_CREATED, TASK_DELETED, TASK_UPDATED};
use super::timestamp::{self, Timestamp};
use crate::http::openapi::describe::words;
use crate::inline_schema;
use crate::model::{Role, Tasks, TasksCreate, TasksDelete, TasksRead, TasksUpdate};

/// The columns of a [`Task`].
macro_rules! columns {
    () => {
        "id, tenant_id, project_id, title, description, status, created_by, assigned_to, \
         created_at, updated_at"
    };
}

/// A task of a project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Task {
    /// The id of the task.
    pub id: Uuid,
    /// The id of the org that the task belongs to.
    pub org_id: Uuid,
    /// The id of the project that the task belongs to.
    pub project_id: Uuid,
    /// The title of the task.
    pub title: String,
    /// A longer text, or `null`.
    #[salvo(schema(required = true))]
    pub description: Option<String>,
    /// The status of the task.
    pub status: Status,
    /// The id of the user who created the task, who may have left the org.
    pub created_by: Uuid,
    /// The id of the member whom the task is assigned to, or `null`.
    #[salvo(schema(required = true))]
    pub assigned_to: Option<Uuid>,
    /// The time of its creation.
    #[serde(serialize_with = "timestamp::serialize")]
    pub created_at: DateTime<Utc>,
    /// The time of the last change.
    #[serde(serialize_with = "timestamp::serialize")]
    pub updated_at: DateTime<Utc>,
}

/// Columns are read by position, in the order of `columns!`, because a page would look up two hundred names.
impl FromRow<'_, PgRow> for Task {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let status = Status::parse(row.try_get(5)?);
        let Timestamp(created_at) = row.try_get(8)?;
        let Timestamp(updated_at) = row.try_get(9)?;
        Ok(Self {
            id: row.try_get(0)?,
            org_id: row.try_get(1)?,
            project_id: row.try_get(2)?,
            title: row.try_get(3)?,
            description: row.try_get(4)?,
            status: status.map_err(|unknown| sqlx::Error::Decode(unknown.into()))?,
            created_by: row.try_get(6)?,
            assigned_to: row.try_get(7)?,
            created_at,
            updated_at,
        })
    }
}

mt_core::text_enum! {
    /// The status of a task.
    pub enum Status {
        /// Not started.
        Todo = "todo",
        /// In progress.
        Doing = "doing",
        /// Completed: the task is finished.
        Done = "done",
    }
}

inline_schema!(Status => words::<Status>());

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Returns whether a member with `role` may change a task: owners and admins any task, members their own.
#[must_use]
pub fn may_update(
    role: Role,
    caller: PrincipalId,
    created_by: Uuid,
    assigned_to: Option<Uuid>,
) -> bool {
    match role {
        Role::Owner | Role::Admin => true,
        Role::Member => created_by == caller.as_uuid() || assigned_to == Some(caller.as_uuid()),
    }
}

/// The reference of a task to something that the org does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// The project of the task.
    Project,
    /// The assigned member.
    Assignee,
}

/// Returns the missing reference if `error` is a foreign key violation of a task.
#[must_use]
pub fn missing(error: &PgError) -> Option<Missing> {
    match error.constraint() {
        Some("tasks_project_id_fkey") => Some(Missing::Project),
        Some("tasks_assigned_to_fkey") => Some(Missing::Assignee),
        _ => None,
    }
}

/// The values of a new task.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// The id of the project that the task belongs to.
    pub project_id: Uuid,
    /// The title of the task.
    pub title: &'a str,
    /// A longer text, or `null`.
    pub description: Option<&'a str>,
    /// The id of the member whom the task is assigned to, or `null`.
    pub assigned_to: Option<Uuid>,
}

/// The changes to a task: `None` keeps a value, an inner `None` clears it.
#[derive(Debug, Default)]
pub struct TaskChange {
    /// The title of the task.
    pub title: Option<String>,
    /// A longer text, or `null`.
    pub description: Option<Option<String>>,
    /// The status of the task.
    pub status: Option<Status>,
    /// The id of the member whom the task is assigned to, or `null`.
    pub assigned_to: Option<Option<Uuid>>,
}

impl TaskChange {
    /// Returns whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// Returns the names of the changed fields.
    fn names(&self) -> Vec<&'static str> {
        let Self { title, description, status, assigned_to } = self;
        let changes = [
            ("title", title.is_some()),
            ("description", description.is_some()),
            ("status", status.is_some()),
            ("assigned_to", assigned_to.is_some()),
        ];
        changes.into_iter().filter(|(_, changes)| *changes).map(|(name, _)| name).collect()
    }
}

impl Task {
    /// Returns the insert of a task and its audit entry. `_permit` proves that the cap allows one more.
    ///
    /// Foreign keys check the project and the member; [`missing`] interprets their error.
    pub(crate) fn creation<P: Implies<TasksCreate>>(
        tx: &TenantTx<P>,
        _permit: CapPermit<Tasks>,
        new: NewTask<'_>,
    ) -> (Query<Self>, NewEntry) {
        let (tenant, caller) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
        let id = Uuid::now_v7();
        let insert = query_as(concat!(
            "insert into app.tasks \
                     (tenant_id, id, project_id, title, description, created_by, assigned_to) \
                 values ($1, $2, $3, $4, $5, $6, $7) returning ",
            columns!(),
        ))
        .bind(tenant)
        .bind(id)
        .bind(new.project_id)
        .bind(new.title)
        .bind(new.description)
        .bind(caller)
        .bind(new.assigned_to);
        (insert, TASK_CREATED.on(id).with("project", new.project_id))
    }

    /// Returns a project's tasks, newest first, older than `before`, optionally of one status.
    pub(crate) async fn list<P: Implies<TasksRead>>(
        read: TenantRead<'_, P>,
        project: Uuid,
        status: Option<Status>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Self>, BeginError> {
        // Two texts, so that each has a plan that walks its own index.
        macro_rules! list {
            ($and:literal) => {
                concat!(
                    "select ",
                    columns!(),
                    " from app.tasks where tenant_id = $1 and project_id = $2 and id < $3",
                    $and,
                    " order by id desc limit $4",
                )
            };
        }
        let query = match status {
            None => query_as(list!("")),
            Some(_) => query_as(list!(" and status = $5")),
        };
        let query = query
            .bind(read.tenant().as_uuid())
            .bind(project)
            .bind(before.unwrap_or(Uuid::max()))
            .bind(limit);
        let query = match status {
            None => query,
            Some(status) => query.bind(status.as_str()),
        };
        query.fetch_all(read).await
    }

    /// Returns one task of the org.
    pub(crate) async fn find<P: Implies<TasksRead>>(
        read: TenantRead<'_, P>,
        id: Uuid,
    ) -> Result<Option<Self>, BeginError> {
        query_as(concat!("select ", columns!(), " from app.tasks where tenant_id = $1 and id = $2"))
            .bind(read.tenant().as_uuid())
            .bind(id)
            .fetch_optional(read)
            .await
    }

    /// Loads one task of the org and locks it until the transaction ends, so that decisions about it stay true.
    pub(crate) async fn hold<P: Implies<TasksUpdate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<Option<Self>, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from app.tasks where tenant_id = $1 and id = $2 for no key update",
        ))
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx.execute_unaudited::<TasksUpdate>())
        .await?)
    }

    /// Changes a locked task.
    pub(crate) async fn update<P: Implies<TasksUpdate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
        change: TaskChange,
    ) -> Result<Self, PgError> {
        let tenant = tx.tenant().as_uuid();
        let updated = TASK_UPDATED.on(id).with("changed", change.names());
        Ok(sqlx::query_as(concat!(
            "update app.tasks set title = coalesce($3, title), \
                 description = case when $4 then $5 else description end, \
                 status = coalesce($6, status), \
                 assigned_to = case when $7 then $8 else assigned_to end, \
                 updated_at = now() \
             where tenant_id = $1 and id = $2 returning ",
            columns!(),
        ))
        .bind(tenant)
        .bind(id)
        .bind(change.title)
        .bind(change.description.is_some())
        .bind(change.description.flatten())
        .bind(change.status.map(Status::as_str))
        .bind(change.assigned_to.is_some())
        .bind(change.assigned_to.flatten())
        .fetch_one(tx.execute::<TasksUpdate>(updated))
        .await?)
    }

    /// Deletes a task. Returns the deleted task if it existed.
    pub(crate) async fn delete<P: Implies<TasksDelete>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<Option<Self>, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(concat!(
            "delete from app.tasks where tenant_id = $1 and id = $2 returning ",
            columns!(),
        ))
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx.execute::<TasksDelete>(TASK_DELETED.on(id)))
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_change_their_own_tasks_only() {
        let caller = PrincipalId::generate();
        let (me, other) = (caller.as_uuid(), Uuid::now_v7());
        for (role, created_by, assigned_to, allowed) in [
            (Role::Member, me, None, true),
            (Role::Member, other, Some(me), true),
            (Role::Member, other, None, false),
            (Role::Member, other, Some(other), false),
            (Role::Admin, other, None, true),
            (Role::Owner, other, Some(other), true),
        ] {
            assert_eq!(may_update(role, caller, created_by, assigned_to), allowed, "{role:?}");
        }
    }
}
