//! Tasks.

use mt_core::id::PrincipalId;
use mt_core::pg::{Member, TenantTx};
use mt_core::word::Word as _;
use salvo::prelude::*;
use serde::Deserialize;
use uuid::Uuid;

use super::request;
use crate::app::App;
use crate::http::authorized::Authorized;
use crate::http::fields::{self, Description, Patch, Title};
use crate::http::json;
use crate::http::page::{Listing, Page};
use crate::http::problem::{ApiError, FieldError};
use crate::http::problems;
use crate::model::{Tasks, TasksCreate, TasksDelete, TasksRead, TasksUpdate};
use crate::product::{NewTask, Project, Status, Task, TaskChange, may_update};

/// `/orgs/{org_id}/projects/{project_id}/tasks`.
pub(super) fn of_project() -> Router {
    Router::with_path("tasks").get(list).post(create)
}

/// `/orgs/{org_id}/tasks/{task_id}`.
pub(super) fn routes() -> Router {
    Router::with_path("tasks/{task_id}").get(show).patch(update).delete(delete)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTaskBody {
    title: Title,
    description: Option<Description>,
    assigned_to: Option<UserRef>,
}

/// A user's id in a body.
#[derive(Clone, Copy)]
struct UserRef(Uuid);

impl<'de> Deserialize<'de> for UserRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        PrincipalId::parse(&text)
            .map(|id| Self(id.as_uuid()))
            .ok_or_else(|| serde::de::Error::custom("must be a hyphenated UUID"))
    }
}

#[handler]
async fn create(
    grant: Authorized<TasksCreate>,
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<Json<Task>, ApiError> {
    let app = App::of(depot);
    let body: NewTaskBody = json::read(req).await?;
    let project_id = request::id(req, "project_id")?;
    let (mut tx, room) = app.tenants.begin_capped::<_, Tasks>(grant.0).await?;
    if !Project::hold(&mut tx, project_id).await? {
        return Err(ApiError::not_found());
    }
    let assigned_to = body.assigned_to.map(|user| user.0);
    check_assignee(&mut tx, assigned_to).await?;
    let new = NewTask {
        project_id,
        title: body.title.into_string(),
        description: body.description.map(Description::into_string),
        assigned_to,
    };
    let task = Task::insert(&mut tx, room?, new).await.map_err(assignee_gone)?;
    tx.commit().await?;
    request::created(res, &format!("/orgs/{}/tasks/{}", task.org_id, task.id), task)
}

#[handler]
async fn list(
    grant: Authorized<TasksRead>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Listing<Task>>, ApiError> {
    let app = App::of(depot);
    let status = match req.query::<&str>("status") {
        None => None,
        Some(word) => Some(Status::parse(word).map_err(|_| {
            ApiError::invalid_parameter("status", "takes `todo`, `doing` or `done`")
        })?),
    };
    let project_id = request::id(req, "project_id")?;
    let scope = format!("tasks:{project_id}:{}", status.map_or("", Status::as_str));
    let page = Page::of(req, &scope)?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let tasks = Task::list(&mut tx, project_id, status, page.after(), page.fetch()).await?;
    tx.commit().await?;
    let tasks = tasks.ok_or_else(ApiError::not_found)?;
    Ok(Json(page.answer(tasks, |task| task.id)))
}

#[handler]
async fn show(
    grant: Authorized<TasksRead>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Task>, ApiError> {
    let app = App::of(depot);
    let id = request::id(req, "task_id")?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let task = Task::find(&mut tx, id).await?;
    tx.commit().await?;
    task.map(Json).ok_or_else(ApiError::not_found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskChangeBody {
    #[serde(default, deserialize_with = "fields::present")]
    title: Option<Title>,
    #[serde(default)]
    description: Patch<Description>,
    #[serde(default, deserialize_with = "present_status")]
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

#[handler]
async fn update(
    grant: Authorized<TasksUpdate>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Task>, ApiError> {
    let app = App::of(depot);
    let body: TaskChangeBody = json::read(req).await?;
    let id = request::id(req, "task_id")?;
    let change = TaskChange {
        title: body.title.map(Title::into_string),
        description: body.description.into_option().map(|text| text.map(Description::into_string)),
        status: body.status,
        assigned_to: body.assigned_to.into_option().map(|user| user.map(|user| user.0)),
    };
    let mut tx = app.tenants.begin(grant.0).await?;
    let task = Task::hold(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    let (role, caller) = (tx.access().role(), tx.principal().id());
    if !may_update(role, caller, task.created_by, task.assigned_to) {
        return Err(ApiError::new(&problems::FORBIDDEN));
    }
    check_assignee(&mut tx, change.assigned_to.flatten()).await?;
    let task = if change.is_empty() {
        task
    } else {
        Task::update(&mut tx, id, change).await.map_err(assignee_gone)?
    };
    tx.commit().await?;
    Ok(Json(task))
}

#[handler]
async fn delete(
    grant: Authorized<TasksDelete>,
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<(), ApiError> {
    let app = App::of(depot);
    let id = request::id(req, "task_id")?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let had = Task::delete(&mut tx, id).await?;
    tx.commit().await?;
    if !had {
        return Err(ApiError::not_found());
    }
    request::no_content(res);
    Ok(())
}

/// Whoever is to do a task is a member. Someone who is not, here or anywhere, is refused alike.
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

/// The same answer when they leave between the look and the write: the foreign key stands behind it.
fn assignee_gone(error: mt_core::pg::PgError) -> ApiError {
    match error.constraint() {
        Some("tasks_assigned_to_fkey") => not_a_member(),
        _ => error.into(),
    }
}

fn not_a_member() -> ApiError {
    ApiError::invalid_fields(vec![FieldError::new("/assigned_to", "must be a member of the org")])
}
