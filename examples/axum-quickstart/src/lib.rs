//! mt in an axum service: workspaces with notes. See `README.md` of the repository for the tour.

mod model;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use mt_core::access::{AccessRequest, Permission};
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::pg::{Tenants, query_scalar};
use mt_tower::authenticate::Authenticate;
use mt_tower::authorize::access_request;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{PathParam, PathParams, ResolveTenant};

pub use self::model::{Notebook, NotesRead};

/// `GET /workspaces/{workspace_id}/notes`, for members of the workspace.
pub fn router(tenants: Tenants<Notebook>, tokens: JwtAuthenticator) -> Router {
    let guards = GuardLayer::new((
        Authenticate::new(tokens),
        ResolveTenant::new(PathParam("workspace_id")),
        Bulkhead::<Notebook, _>::new(tenants.shares().clone(), tenants.clone()),
    ));
    Router::new()
        .route("/workspaces/{workspace_id}/notes", get(notes))
        .route_layer(guards)
        .route_layer(from_fn(export_params))
        .with_state(tenants)
}

/// The notes of the workspace. Were the `where` forgotten, row-level security would stand in for it.
async fn notes(
    State(tenants): State<Tenants<Notebook>>,
    InTenant(request): InTenant<NotesRead>,
) -> Result<Json<Vec<String>>, Refusal> {
    let notes = query_scalar("select text from public.notes where tenant_id = $1 order by id")
        .bind(request.tenant().as_uuid())
        .fetch_all(tenants.read(request))
        .await?;
    Ok(Json(notes))
}

/// The caller's request for permission `P`, as an argument of a handler. The transaction decides on it.
struct InTenant<P: Permission>(AccessRequest<P>);

impl<P: Permission, S: Sync> FromRequestParts<S> for InTenant<P> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(access_request(&parts.extensions)?))
    }
}

/// Leaves axum's path parameters where the guards look for them.
async fn export_params(params: RawPathParams, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(PathParams::from_iter(&params));
    next.run(request).await
}

/// A refusal or failure, as an answer of axum's.
struct Refusal(Problem);

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_response::<Body>(None)
    }
}
