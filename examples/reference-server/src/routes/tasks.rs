//! Tasks of a project.

use mt_core::id::PrincipalId;
use mt_core::pg::{Member, PgError, TenantTx};
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::FieldError;
use salvo::prelude::*;
use salvo_oapi::schema::{KnownFormat, SchemaFormat};
use salvo_oapi::{ToSchema, endpoint};
use serde::Deserialize;
use uuid::Uuid;

use super::once::{Once, again};
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::caller::InOrg;
use crate::http::etag::{ETag, IfMatch, IfNoneMatch, Tagged};
use crate::http::fields::{self, Description, Patch, Title};
use crate::http::json::Body;
use crate::http::openapi::describe::text;
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::problems::{self, CapReached};
use crate::http::query::Choice;
use crate::inline_schema;
use crate::model::{Tasks, TasksCreate, TasksDelete, TasksRead, TasksUpdate};
use crate::product::{Missing, NewTask, Project, Status, Task, TaskChange, may_update, missing};

/// `/orgs/{org_id}/projects/{project_id}/tasks`.
pub(super) fn of_project() -> Router {
    Router::with_path("tasks").get(list).post(create)
}

/// `/orgs/{org_id}/tasks/{task_id}`.
pub(super) fn routes() -> Router {
    Router::with_path("tasks/{task_id}").get(show).patch(update).delete(delete)
}

impl Made for Task {
    const TAGGED: bool = true;
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTaskBody {
    title: Title,
    description: Option<Description>,
    assigned_to: Option<UserRef>,
}

/// A user's id in a body.
#[derive(Clone, Copy)]
struct UserRef(Uuid);

inline_schema!(UserRef => text().format(SchemaFormat::KnownFormat(KnownFormat::Uuid)));

impl<'de> Deserialize<'de> for UserRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        PrincipalId::parse(&text)
            .map(|id| Self(id.as_uuid()))
            .ok_or_else(|| serde::de::Error::custom("must be a hyphenated UUID"))
    }
}

/// Creates a task in a project.
#[endpoint(tags("tasks"), responses(CapReached))]
async fn create(
    org: InOrg<TasksCreate>,
    once: Once<NewTaskBody>,
    project_id: PathId,
    depot: &mut Depot,
) -> Result<Created<Task>, ApiError> {
    let app = App::of(depot);
    let begin = app.tenants.begin(org.0).capped::<Tasks>().idempotent(once.request());
    let (mut tx, cap) = begin.await?;
    if let Some(stored) = tx.stored_response()? {
        return again(stored);
    }
    let assigned_to = once.body.assigned_to.map(|user| user.0);
    let permit = match cap.permit() {
        Ok(permit) => permit,
        // What is wrong with the request itself comes first.
        Err(reached) => {
            if !Project::exists_for_task(&mut tx, project_id.0).await? {
                return Err(ApiError::not_found());
            }
            check_assignee(&mut tx, assigned_to).await?;
            return Err(reached.into());
        }
    };
    let new = NewTask {
        project_id: project_id.0,
        title: once.body.title.as_str(),
        description: once.body.description.as_ref().map(Description::as_str),
        assigned_to,
    };
    let creation = Task::creation(&tx, permit, new);
    let path = |task: &Task| format!("/orgs/{}/tasks/{}", task.org_id, task.id);
    once.create::<_, TasksCreate, _>(tx, creation, path, refused).await
}

/// Lists the tasks of a project.
#[endpoint(tags("tasks"))]
async fn list(
    org: InOrg<TasksRead>,
    status: Choice<Status>,
    page: PageQuery,
    project_id: PathId,
    depot: &mut Depot,
) -> Result<Listing<Task>, ApiError> {
    let app = App::of(depot);
    let (status, project) = (status.0, project_id.0);
    let scope = format!("tasks:{project}:{}", status.map_or("", Status::as_str));
    let page = page.of(&app.cursors, &scope)?;
    let read = app.tenants.read(org.0);
    let tasks = Task::list(read, project, status, page.after(), page.fetch()).await?;
    // None in the project, or no such project.
    if tasks.is_empty() && !Project::exists(app.tenants.read(org.0), project).await? {
        return Err(ApiError::not_found());
    }
    Ok(page.answer(tasks, |task: &Task| task.id).into())
}

/// Shows a task.
#[endpoint(tags("tasks"))]
async fn show(
    org: InOrg<TasksRead>,
    task_id: PathId,
    known: IfNoneMatch,
    depot: &mut Depot,
) -> Result<Tagged<Task>, ApiError> {
    let app = App::of(depot);
    let task = Task::find(app.tenants.read(org.0), task_id.0).await?;
    let task = task.ok_or_else(ApiError::not_found)?;
    Ok(Tagged::unless(&known, &task))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TaskChangeBody {
    #[serde(default, deserialize_with = "fields::present")]
    #[salvo(schema(value_type = Title, required = false))]
    title: Option<Title>,
    #[serde(default)]
    description: Patch<Description>,
    #[serde(default, deserialize_with = "present_status")]
    #[salvo(schema(value_type = Status, required = false))]
    status: Option<Status>,
    #[serde(default)]
    assigned_to: Patch<UserRef>,
}

fn present_status<'de, D>(deserializer: D) -> Result<Option<Status>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    fields::word(deserializer).map(Some)
}

/// Changes a task. A member may change their own tasks only.
#[endpoint(tags("tasks"))]
async fn update(
    org: InOrg<TasksUpdate>,
    change: Body<TaskChangeBody>,
    task_id: PathId,
    seen: IfMatch,
    depot: &mut Depot,
) -> Result<Tagged<Task>, ApiError> {
    let app = App::of(depot);
    let change = TaskChange::from(change.0);
    let mut tx = app.tenants.begin(org.0).await?;
    let held = Task::hold(&mut tx, task_id.0).await?.ok_or_else(ApiError::not_found)?;
    let caller = tx.principal().id();
    let may_update = |role| may_update(role, caller, held.created_by, held.assigned_to);
    if !tx.access().each_role(may_update) {
        return Err(ApiError::new(&problems::FORBIDDEN));
    }
    seen.check(&ETag::of(&held))?;
    check_assignee(&mut tx, change.assigned_to.flatten()).await?;
    let task = if change.is_empty() {
        held
    } else {
        Task::update(&mut tx, held.id, change).await.map_err(refused)?
    };
    tx.commit().await?;
    Ok(Tagged::new(&task))
}

/// Deletes a task.
#[endpoint(tags("tasks"))]
async fn delete(
    org: InOrg<TasksDelete>,
    task_id: PathId,
    seen: IfMatch,
    depot: &mut Depot,
) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).await?;
    let gone = Task::delete(&mut tx, task_id.0).await?.ok_or_else(ApiError::not_found)?;
    // The row is held by then. Refused, it comes back: the transaction is not committed.
    seen.check(&ETag::of(&gone))?;
    tx.commit().await?;
    Ok(NoContent)
}

impl From<TaskChangeBody> for TaskChange {
    fn from(body: TaskChangeBody) -> Self {
        let description = body.description.into_option();
        Self {
            title: body.title.map(Title::into_string),
            description: description.map(|text| text.map(Description::into_string)),
            status: body.status,
            assigned_to: body.assigned_to.into_option().map(|user| user.map(|user| user.0)),
        }
    }
}

/// A task is assigned to a member. A user of another org and an unknown id are refused in the same way.
async fn check_assignee<P>(tx: &mut TenantTx<P>, user: Option<Uuid>) -> Result<(), ApiError>
where
    P: mt_core::access::Permission<Model = crate::model::Product>,
{
    let Some(user) = user else { return Ok(()) };
    match Member::find(tx, PrincipalId::from_uuid(user)).await? {
        Some(_) => Ok(()),
        None => Err(not_a_member()),
    }
}

/// What a task is refused for by what it refers to. Who leaves between a look and the write gets the same
/// answer: the foreign key stands behind it.
fn refused(error: PgError) -> ApiError {
    match missing(&error) {
        Some(Missing::Project) => ApiError::not_found(),
        Some(Missing::Assignee) => not_a_member(),
        None => error.into(),
    }
}

fn not_a_member() -> ApiError {
    ApiError::invalid_fields(vec![FieldError::new("/assigned_to", "must be a member of the org")])
}
