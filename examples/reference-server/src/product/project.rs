//! Projects and their queries.

use chrono::{DateTime, Utc};
use mt_core::access::Implies;
use mt_core::pg::audit_log::NewEntry;
use mt_core::pg::{
    BeginError, CapPermit, PgError, Query, TenantRead, TenantTx, query_as, query_scalar,
};
use salvo_oapi::ToSchema;
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::audit::{PROJECT_CREATED, PROJECT_DELETED, PROJECT_RENAMED};
use super::timestamp::{self, Timestamp};
use crate::model::{
    Projects, ProjectsCreate, ProjectsDelete, ProjectsRead, ProjectsUpdate, TasksCreate, TasksRead,
};

/// The columns of a [`Project`].
macro_rules! columns {
    () => {
        "id, tenant_id, name, created_at, updated_at"
    };
}

/// Selects one row if the org has the project.
const EXISTS: &str = "select 1 from app.projects where tenant_id = $1 and id = $2";

/// A project of an org.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct Project {
    /// The id of the project.
    pub id: Uuid,
    /// The id of the org that the project belongs to.
    #[sqlx(rename = "tenant_id")]
    pub org_id: Uuid,
    /// The name of the project.
    pub name: String,
    /// The time of its creation.
    #[serde(serialize_with = "timestamp::serialize")]
    #[sqlx(try_from = "Timestamp")]
    pub created_at: DateTime<Utc>,
    /// The time of the last change.
    #[serde(serialize_with = "timestamp::serialize")]
    #[sqlx(try_from = "Timestamp")]
    pub updated_at: DateTime<Utc>,
}

impl Project {
    /// Returns the insert of a project and its audit entry. `_permit` proves that the cap allows one more.
    pub(crate) fn creation<P: Implies<ProjectsCreate>>(
        tx: &TenantTx<P>,
        _permit: CapPermit<Projects>,
        name: &str,
    ) -> (Query<Self>, NewEntry) {
        let (tenant, id) = (tx.tenant().as_uuid(), Uuid::now_v7());
        let insert = query_as(concat!(
            "insert into app.projects (tenant_id, id, name) values ($1, $2, $3) returning ",
            columns!(),
        ));
        (insert.bind(tenant).bind(id).bind(name), PROJECT_CREATED.on(id))
    }

    /// Returns the org's projects, newest first, older than `before`.
    pub(crate) async fn list<P: Implies<ProjectsRead>>(
        read: TenantRead<'_, P>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Self>, BeginError> {
        query_as(concat!(
            "select ",
            columns!(),
            " from app.projects where tenant_id = $1 and id < $2 order by id desc limit $3"
        ))
        .bind(read.tenant().as_uuid())
        .bind(before.unwrap_or(Uuid::max()))
        .bind(limit)
        .fetch_all(read)
        .await
    }

    /// Returns one project of the org.
    pub(crate) async fn find<P: Implies<ProjectsRead>>(
        read: TenantRead<'_, P>,
        id: Uuid,
    ) -> Result<Option<Self>, BeginError> {
        query_as(concat!(
            "select ",
            columns!(),
            " from app.projects where tenant_id = $1 and id = $2"
        ))
        .bind(read.tenant().as_uuid())
        .bind(id)
        .fetch_optional(read)
        .await
    }

    /// Returns whether the org has the project whose tasks are listed.
    pub(crate) async fn exists<P: Implies<TasksRead>>(
        read: TenantRead<'_, P>,
        id: Uuid,
    ) -> Result<bool, BeginError> {
        let query = query_scalar::<i32>(EXISTS).bind(read.tenant().as_uuid()).bind(id);
        Ok(query.fetch_optional(read).await?.is_some())
    }

    /// Loads one project of the org and locks it until the transaction ends, so that decisions about it stay true.
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
        .fetch_optional(tx.execute_unaudited::<ProjectsUpdate>())
        .await?)
    }

    /// Renames a locked project.
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
        .fetch_one(tx.execute::<ProjectsUpdate>(PROJECT_RENAMED.on(id)))
        .await?)
    }

    /// Deletes a project and its tasks. Returns the deleted project if it existed.
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
        .fetch_optional(tx.execute::<ProjectsDelete>(PROJECT_DELETED.on(id)))
        .await?)
    }

    /// Whether the org has the project that a task was to be made in.
    pub(crate) async fn exists_for_task<P: Implies<TasksCreate>>(
        tx: &mut TenantTx<P>,
        id: Uuid,
    ) -> Result<bool, PgError> {
        let tenant = tx.tenant().as_uuid();
        let found: Option<i32> = sqlx::query_scalar(EXISTS)
            .bind(tenant)
            .bind(id)
            .fetch_optional(tx.execute_unaudited::<TasksCreate>())
            .await?;
        Ok(found.is_some())
    }
}
