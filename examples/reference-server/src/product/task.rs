//! Tasks, their SQL, and who may change which.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::audit_log::Entry;
use mt_core::pg::{PgError, Query, Room, TenantTx};
use mt_core::word::Word;
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

/// What a [`Task`] is read from.
macro_rules! columns {
    () => {
        "id, tenant_id, project_id, title, description, status, created_by, assigned_to, \
         created_at, updated_at"
    };
}

/// A task of a project, as stored and as shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Task {
    /// Which one.
    pub id: Uuid,
    /// Whose.
    pub org_id: Uuid,
    /// In which project.
    pub project_id: Uuid,
    /// What is to be done.
    pub title: String,
    /// More about it.
    #[salvo(schema(required = true))]
    pub description: Option<String>,
    /// How far it is.
    pub status: Status,
    /// Who made it, member still or not.
    pub created_by: Uuid,
    /// Which member is to do it.
    #[salvo(schema(required = true))]
    pub assigned_to: Option<Uuid>,
    /// When it was made.
    #[serde(serialize_with = "timestamp::serialize")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "timestamp::serialize")]
    pub updated_at: DateTime<Utc>,
}

/// By position, in the order of `columns!`: a page would look up two hundred names.
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

/// How far a task is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Not begun.
    Todo,
    /// Begun.
    Doing,
    /// Finished.
    Done,
}

impl Word for Status {
    const ALL: &'static [Self] = &[Self::Todo, Self::Doing, Self::Done];

    fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Doing => "doing",
            Self::Done => "done",
        }
    }
}

inline_schema!(Status => words::<Status>());

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whether a holder of `role` may change a task: owners and admins any, members their own.
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

/// What a task refers to that the org does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// The project that it is to be in.
    Project,
    /// The member who is to do it.
    Assignee,
}

/// What was missing when a task was refused, if it was that.
#[must_use]
pub fn missing(error: &PgError) -> Option<Missing> {
    match error.constraint() {
        Some("tasks_project_id_fkey") => Some(Missing::Project),
        Some("tasks_assigned_to_fkey") => Some(Missing::Assignee),
        _ => None,
    }
}

/// What a new task starts with.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// In which project.
    pub project_id: Uuid,
    /// What is to be done.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// Which member is to do it.
    pub assigned_to: Option<Uuid>,
}

/// What to change about a task: `None` leaves a value alone, an inner `None` clears it.
#[derive(Debug, Default)]
pub struct TaskChange {
    /// What is to be done.
    pub title: Option<String>,
    /// More about it.
    pub description: Option<Option<String>>,
    /// How far it is.
    pub status: Option<Status>,
    /// Which member is to do it.
    pub assigned_to: Option<Option<Uuid>>,
}

impl TaskChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// What it is that it changes.
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
    /// What makes a task, and what is recorded of it. `_room` is the proof that the plan allows one more.
    ///
    /// The foreign keys see to it that there is such a project, and such a member; [`missing`] reads it.
    pub(crate) fn creation<P: Implies<TasksCreate>>(
        tx: &TenantTx<P>,
        _room: Room<Tasks>,
        new: NewTask<'_>,
    ) -> (Query<TasksCreate>, Entry) {
        let (tenant, caller) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
        let id = Uuid::now_v7();
        let insert = Query::new(concat!(
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

    /// A project's tasks, newest first, after the one named by `before`; of one status if asked.
    pub(crate) fn list(
        tenant: TenantId,
        project: Uuid,
        status: Option<Status>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Query<TasksRead> {
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
            None => Query::new(list!("")),
            Some(_) => Query::new(list!(" and status = $5")),
        };
        let query = query
            .bind(tenant.as_uuid())
            .bind(project)
            .bind(before.unwrap_or(Uuid::max()))
            .bind(limit);
        match status {
            None => query,
            Some(status) => query.bind(status.as_str()),
        }
    }

    /// One task, if the org has it.
    pub(crate) fn find(tenant: TenantId, id: Uuid) -> Query<TasksRead> {
        Query::new(concat!(
            "select ",
            columns!(),
            " from app.tasks where tenant_id = $1 and id = $2"
        ))
        .bind(tenant.as_uuid())
        .bind(id)
    }

    /// One task to be changed, if the org has it, held until the transaction ends so that what was
    /// decided about it stays true.
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
        .fetch_optional(tx.unrecorded::<TasksUpdate>())
        .await?)
    }

    /// Changes a task that is held.
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
        .fetch_one(tx.change::<TasksUpdate>(updated))
        .await?)
    }

    /// Deletes a task, and returns what is gone, if the org had it.
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
        .fetch_optional(tx.change::<TasksDelete>(TASK_DELETED.on(id)))
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_change_their_own_tasks_and_no_others() {
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
