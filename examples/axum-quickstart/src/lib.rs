//! mt in an axum service: workspaces with notes. See `README.md` of the repository for the tour.

use std::sync::Arc;

use axum::extract::{Extension, RawPathParams, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing::get};
use mt_core::access::{Access, AccessModel, Billing, Effect, Permission};
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::pg::TenantPool;
use mt_core::word::Word;
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{PathParam, PathParams, ResolveTenant};

/// One word for everything, to keep the example short: one role, one plan, one permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Only {
    /// Whoever is a member.
    Member,
}

impl Word for Only {
    const ALL: &'static [Self] = &[Self::Member];
    fn as_str(self) -> &'static str {
        "member"
    }
}

/// The application.
#[derive(Debug)]
pub struct Notebook;

impl AccessModel for Notebook {
    type Role = Only;
    type Plan = Free;
    type Permission = Only;
    fn role_grants(role: Only, permission: Only) -> bool {
        matches!((role, permission), (Only::Member, Only::Member))
    }
    fn plan_includes(plan: Free, _: Only) -> bool {
        matches!(plan, Free::Free)
    }
}

/// The one plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Free {
    /// It costs nothing.
    Free,
}

impl Word for Free {
    const ALL: &'static [Self] = &[Self::Free];
    fn as_str(self) -> &'static str {
        "free"
    }
}

/// Reading notes. Forgetting the billing rule or the effect does not compile.
#[derive(Debug)]
pub struct NotesRead;

impl Permission for NotesRead {
    type Model = Notebook;
    const KEY: Only = Only::Member;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}

/// `GET /workspaces/{workspace_id}/notes`, for members of the workspace.
pub fn router(tenants: TenantPool<Notebook>, tokens: JwtAuthenticator) -> Router {
    let resolve = ResolveTenant::new(PathParam("workspace_id"));
    Router::new()
        .route("/workspaces/{workspace_id}/notes", get(notes))
        .route_layer(GuardLayer::new(LoadAccess::<Notebook, _>::new(tenants.clone())))
        .route_layer(GuardLayer::new(resolve))
        .route_layer(GuardLayer::new(Authenticate::new(Arc::new(tokens))))
        .route_layer(from_fn(export_params))
        .with_state(tenants)
}

/// Leaves axum's path parameters where the layers look for them.
async fn export_params(params: RawPathParams, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(PathParams::from_iter(&params));
    next.run(request).await
}

/// The notes of the workspace. Were the `where` forgotten, row-level security would stand in for it.
async fn notes(
    State(tenants): State<TenantPool<Notebook>>,
    Extension(access): Extension<Access<Notebook>>,
) -> Result<Json<Vec<String>>, Response> {
    let grant = access.authorize::<NotesRead>().map_err(refused)?;
    let mut tx = tenants.begin(grant).await.map_err(|_| failed())?;
    let notes =
        sqlx::query_scalar("select text from public.notes where tenant_id = $1 order by id")
            .bind(tx.tenant().as_uuid())
            .fetch_all(tx.under::<NotesRead>())
            .await
            .map_err(|_| failed())?;
    tx.commit().await.map_err(|_| failed())?;
    Ok(Json(notes))
}

fn refused(denied: mt_core::access::Denied) -> Response {
    Problem::from(denied).into_response::<axum::body::Body>(None).into_response()
}

fn failed() -> Response {
    Problem::unavailable().into_response::<axum::body::Body>(None).into_response()
}
