//! Projects and their SQL.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Entry;
use mt_core::pg::{PgError, Query, Room, TenantTx};
use salvo_oapi::ToSchema;
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::audit::{PROJECT_CREATED, PROJECT_DELETED, PROJECT_RENAMED};
use super::timestamp::{self, Timestamp};
use crate::model::{
    Projects, ProjectsCreate, ProjectsDelete, ProjectsRead, ProjectsUpdate, TasksCreate, TasksRead,
};

/// What a [`Project`] is read from.
macro_rules! columns {
    () => {
        "id, tenant_id, name, created_at, updated_at"
    };
}

/// One row if the org has the project, or none.
const IS_THERE: &str = "select 1 from app.projects where tenant_id = $1 and id = $2";

/// A project of an org, as stored and as shown.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct Project {
    /// Which one.
    pub id: Uuid,
    /// Whose.
    #[sqlx(rename = "tenant_id")]
    pub org_id: Uuid,
    /// What its members call it.
    pub name: String,
    /// When it was made.
    #[serde(serialize_with = "timestamp::serialize")]
    #[sqlx(try_from = "Timestamp")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "timestamp::serialize")]
    #[sqlx(try_from = "Timestamp")]
    pub updated_at: DateTime<Utc>,
}

impl Project {
    /// What makes a project, and what is recorded of it. `_room` is the proof that the plan allows one more.
    pub(crate) fn creation<P: Implies<ProjectsCreate>>(
        tx: &TenantTx<P>,
        _room: Room<Projects>,
        name: &str,
    ) -> (Query<ProjectsCreate>, Entry) {
        let (tenant, id) = (tx.tenant().as_uuid(), Uuid::now_v7());
        let insert = Query::new(concat!(
            "insert into app.projects (tenant_id, id, name) values ($1, $2, $3) returning ",
            columns!(),
        ));
        (insert.bind(tenant).bind(id).bind(name), PROJECT_CREATED.on(id))
    }

    /// The org's projects, newest first, after the one named by `before`.
    pub(crate) fn list(tenant: TenantId, before: Option<Uuid>, limit: i64) -> Query<ProjectsRead> {
        Query::new(concat!(
            "select ",
            columns!(),
            " from app.projects where tenant_id = $1 and id < $2 order by id desc limit $3"
        ))
        .bind(tenant.as_uuid())
        .bind(before.unwrap_or(Uuid::max()))
        .bind(limit)
    }

    /// One project, if the org has it.
    pub(crate) fn find(tenant: TenantId, id: Uuid) -> Query<ProjectsRead> {
        Query::new(concat!(
            "select ",
            columns!(),
            " from app.projects where tenant_id = $1 and id = $2"
        ))
        .bind(tenant.as_uuid())
        .bind(id)
    }

    /// Whether the org has the project that tasks are asked of: one row, or none.
    pub(crate) fn find_for_tasks(tenant: TenantId, id: Uuid) -> Query<TasksRead> {
        Query::new(IS_THERE).bind(tenant.as_uuid()).bind(id)
    }

    /// One project to be changed, if the org has it, held until the transaction ends so that what was
    /// decided about it stays true.
    pub(crate) async fn hold<P: Implies<ProjectsUpdate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<Option<Self>, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from app.projects where tenant_id = $1 and id = $2 for no key update",
        ))
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx.unrecorded::<ProjectsUpdate>())
        .await?)
    }

    /// Renames a project that is held.
    pub(crate) async fn rename<P: Implies<ProjectsUpdate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
        name: &str,
    ) -> Result<Self, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(concat!(
            "update app.projects set name = $3, updated_at = now() \
                 where tenant_id = $1 and id = $2 returning ",
            columns!(),
        ))
        .bind(tenant)
        .bind(id)
        .bind(name)
        .fetch_one(tx.change::<ProjectsUpdate>(PROJECT_RENAMED.on(id)))
        .await?)
    }

    /// Deletes a project and its tasks, and returns what is gone, if the org had it.
    pub(crate) async fn delete<P: Implies<ProjectsDelete>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<Option<Self>, PgError> {
        let tenant = tx.tenant().as_uuid();
        Ok(sqlx::query_as(concat!(
            "delete from app.projects where tenant_id = $1 and id = $2 returning ",
            columns!(),
        ))
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx.change::<ProjectsDelete>(PROJECT_DELETED.on(id)))
        .await?)
    }

    /// Whether the org has the project that a task was to be made in.
    pub(crate) async fn is_there<P: Implies<TasksCreate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<bool, PgError> {
        let tenant = tx.tenant().as_uuid();
        let found: Option<i32> = sqlx::query_scalar(IS_THERE)
            .bind(tenant)
            .bind(id)
            .fetch_optional(tx.unrecorded::<TasksCreate>())
            .await?;
        Ok(found.is_some())
    }
}
