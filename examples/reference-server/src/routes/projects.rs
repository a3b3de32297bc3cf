//! Projects of an org, and the tasks of one project.

use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Deserialize;

use super::once::{Once, again};
use super::tasks;
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::caller::InOrg;
use crate::http::etag::{ETag, IfMatch, IfNoneMatch, Tagged};
use crate::http::fields::{self, Name};
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::path::PathId;
use crate::http::problem::ApiError;
use crate::http::problems::CapReached;
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

impl Made for Project {
    const TAGGED: bool = true;
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: Name,
}

/// Creates a project.
#[endpoint(tags("projects"), responses(CapReached))]
async fn create(
    org: InOrg<ProjectsCreate>,
    once: Once<NewProject>,
    depot: &mut Depot,
) -> Result<Created<Project>, ApiError> {
    let app = App::of(depot);
    let begin = app.tenants.begin(org.0).capped::<Projects>().idempotent(once.request());
    let (mut tx, cap) = begin.await?;
    if let Some(stored) = tx.stored_response()? {
        return again(stored);
    }
    let creation = Project::creation(&tx, cap.permit()?, once.body.name.as_str());
    let path = |project: &Project| format!("/orgs/{}/projects/{}", project.org_id, project.id);
    once.create::<_, ProjectsCreate, _>(tx, creation, path, ApiError::from).await
}

/// Lists the projects of the org.
#[endpoint(tags("projects"))]
async fn list(
    org: InOrg<ProjectsRead>,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<Project>, ApiError> {
    let app = App::of(depot);
    let tenant = org.0.tenant();
    let page = page.of(&app.cursors, &format!("projects:{tenant}"))?;
    let projects = Project::list(app.tenants.read(org.0), page.after(), page.fetch()).await?;
    Ok(page.answer(projects, |project: &Project| project.id).into())
}

/// Shows a project.
#[endpoint(tags("projects"))]
async fn show(
    org: InOrg<ProjectsRead>,
    project_id: PathId,
    known: IfNoneMatch,
    depot: &mut Depot,
) -> Result<Tagged<Project>, ApiError> {
    let app = App::of(depot);
    let project = Project::find(app.tenants.read(org.0), project_id.0).await?;
    let project = project.ok_or_else(ApiError::not_found)?;
    Ok(Tagged::unless(&known, &project))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectChange {
    #[serde(default, deserialize_with = "fields::present")]
    #[salvo(schema(value_type = Name, required = false))]
    name: Option<Name>,
}

/// Renames a project.
#[endpoint(tags("projects"))]
async fn update(
    org: InOrg<ProjectsUpdate>,
    change: Body<ProjectChange>,
    project_id: PathId,
    seen: IfMatch,
    depot: &mut Depot,
) -> Result<Tagged<Project>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).await?;
    let held = Project::hold(&mut tx, project_id.0).await?.ok_or_else(ApiError::not_found)?;
    seen.check(&ETag::of(&held))?;
    let project = match change.0.name {
        Some(name) => Project::rename(&mut tx, held.id, name.as_str()).await?,
        None => held,
    };
    tx.commit().await?;
    Ok(Tagged::new(&project))
}

/// Deletes a project and its tasks.
#[endpoint(tags("projects"))]
async fn delete(
    org: InOrg<ProjectsDelete>,
    project_id: PathId,
    seen: IfMatch,
    depot: &mut Depot,
) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).await?;
    let gone = Project::delete(&mut tx, project_id.0).await?.ok_or_else(ApiError::not_found)?;
    // The row is held by then. Refused, it comes back: the transaction is not committed.
    seen.check(&ETag::of(&gone))?;
    tx.commit().await?;
    Ok(NoContent)
}
