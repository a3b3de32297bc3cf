//! Projects of an org, and the tasks of one project.

use salvo::prelude::*;
use serde::Deserialize;

use super::{request, tasks};
use crate::app::App;
use crate::http::authorized::Authorized;
use crate::http::fields::{self, Name};
use crate::http::json;
use crate::http::page::{Listing, Page};
use crate::http::problem::ApiError;
use crate::model::{Projects, ProjectsCreate, ProjectsDelete, ProjectsRead, ProjectsUpdate};
use crate::product::Project;

pub(super) fn routes() -> Router {
    Router::with_path("projects").get(list).post(create).push(
        Router::with_path("{project_id}")
            .get(show)
            .patch(update)
            .delete(delete)
            .push(tasks::of_project()),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: Name,
}

#[handler]
async fn create(
    grant: Authorized<ProjectsCreate>,
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<Json<Project>, ApiError> {
    let app = App::of(depot);
    let NewProject { name } = json::read(req).await?;
    let (mut tx, room) = app.tenants.begin_capped::<_, Projects>(grant.0).await?;
    let project = Project::insert(&mut tx, room?, name.as_str()).await?;
    tx.commit().await?;
    let location = format!("/orgs/{}/projects/{}", project.org_id, project.id);
    request::created(res, &location, project)
}

#[handler]
async fn list(
    grant: Authorized<ProjectsRead>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Listing<Project>>, ApiError> {
    let app = App::of(depot);
    let page = Page::of(req, &format!("projects:{}", grant.0.tenant()))?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let projects = Project::list(&mut tx, page.after(), page.fetch()).await?;
    tx.commit().await?;
    Ok(Json(page.answer(projects, |project| project.id)))
}

#[handler]
async fn show(
    grant: Authorized<ProjectsRead>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Project>, ApiError> {
    let app = App::of(depot);
    let id = request::id(req, "project_id")?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let project = Project::find(&mut tx, id).await?;
    tx.commit().await?;
    project.map(Json).ok_or_else(ApiError::not_found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectChange {
    #[serde(default, deserialize_with = "fields::present")]
    name: Option<Name>,
}

#[handler]
async fn update(
    grant: Authorized<ProjectsUpdate>,
    req: &mut Request,
    depot: &mut Depot,
) -> Result<Json<Project>, ApiError> {
    let app = App::of(depot);
    let ProjectChange { name } = json::read(req).await?;
    let id = request::id(req, "project_id")?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let project = Project::update(&mut tx, id, name.as_ref().map(Name::as_str)).await?;
    tx.commit().await?;
    project.map(Json).ok_or_else(ApiError::not_found)
}

#[handler]
async fn delete(
    grant: Authorized<ProjectsDelete>,
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<(), ApiError> {
    let app = App::of(depot);
    let id = request::id(req, "project_id")?;
    let mut tx = app.tenants.begin(grant.0).await?;
    let had = Project::delete(&mut tx, id).await?;
    tx.commit().await?;
    if !had {
        return Err(ApiError::not_found());
    }
    request::no_content(res);
    Ok(())
}
