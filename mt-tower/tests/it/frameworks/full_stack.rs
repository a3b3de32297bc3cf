//! All guards together in an axum application.

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http_body_util::BodyExt as _;
use mt_core::access::{Access, AccessError, AccessSource, Facts};
use mt_core::auth::Principal;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ByPrincipal, ByTenant, RateLimit};
use mt_tower::require::Require;
use mt_tower::resolve_tenant::{PathParam, PathParams, ResolveTenant};
use std::num::NonZeroU32;
use std::sync::Arc;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::support::{Acme, EDITOR, TasksWrite};

async fn export_params(params: RawPathParams, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(PathParams::from_iter(&params));
    next.run(request).await
}

/// Two tenants, one of them lapsed, and one member of both.
#[derive(Clone, Copy)]
struct Members {
    ada: PrincipalId,
    good: TenantId,
    lapsed: TenantId,
}

impl AccessSource<Acme> for Members {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        let standing = match tenant {
            _ if principal.id() != self.ada => return Err(AccessError::NotAMember),
            good if good == self.good => Standing::Good,
            lapsed if lapsed == self.lapsed => Standing::Lapsed,
            _ => return Err(AccessError::NotAMember),
        };
        Ok(Access::assertion(tenant, principal, Facts { standing, ..EDITOR }))
    }
}

struct App {
    router: Router,
    tokens: Arc<JwtAuthenticator>,
    members: Members,
}

impl App {
    fn new() -> Self {
        let key = JwtKey::insecure_hs256("test");
        let tokens = Arc::new(JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap());
        let members = Members {
            ada: PrincipalId::generate(),
            good: TenantId::generate(),
            lapsed: TenantId::generate(),
        };
        let five = Quota::per_minute(NonZeroU32::new(5).unwrap());
        let key = (ByPrincipal, ByTenant::<Acme>::new());
        let limit = RateLimit::new("api", InProcessLimiter::new(), key, five);
        let layers = ServiceBuilder::new()
            .layer(from_fn(export_params))
            .layer(GuardLayer::new(Authenticate::new(tokens.clone())))
            .layer(GuardLayer::new(ResolveTenant::new(PathParam("org_id"))))
            .layer(GuardLayer::new(LoadAccess::<Acme, _>::new(members)))
            .layer(GuardLayer::new(limit));
        let write = axum::routing::post(async |body: Body| body)
            .route_layer(GuardLayer::new(Require::<TasksWrite>::new()));
        let router = Router::new()
            .route("/orgs/{org_id}/tasks", get(async || "tasks").merge(write))
            .route_layer(layers);
        Self { router, tokens, members }
    }

    async fn send(&self, method: &str, tenant: TenantId, who: Option<PrincipalId>) -> Response {
        let mut request = Request::builder().method(method).uri(format!("/orgs/{tenant}/tasks"));
        if let Some(who) = who {
            let token = self.tokens.issue(who, 0).unwrap().token;
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from("written")).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }
}

async fn text(answer: Response) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[tokio::test]
async fn a_member_reads_and_writes() {
    let app = App::new();
    let Members { ada, good, .. } = app.members;
    assert_eq!(text(app.send("GET", good, Some(ada)).await).await, "tasks");
    assert_eq!(text(app.send("POST", good, Some(ada)).await).await, "written");
}

#[tokio::test]
async fn other_callers_are_refused_by_the_right_guard() {
    let app = App::new();
    let Members { ada, good, lapsed } = app.members;
    let stranger = PrincipalId::generate();
    for (method, tenant, who, expected) in [
        ("GET", good, None, "unauthenticated"),
        ("GET", good, Some(stranger), "not-found"),
        ("POST", good, Some(stranger), "not-found"),
        ("GET", TenantId::generate(), Some(ada), "not-found"),
        ("POST", lapsed, Some(ada), "billing-required"),
    ] {
        let answer = app.send(method, tenant, who).await;
        let code = answer.extensions().get::<Problem>().map(Problem::code);
        assert_eq!(code, Some(expected), "{method} {tenant}");
    }
    assert_eq!(app.send("GET", lapsed, Some(ada)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn unknown_and_foreign_tenant_get_the_same_answer() {
    let app = App::new();
    let stranger = Some(PrincipalId::generate());
    let foreign = app.send("GET", app.members.good, stranger).await;
    let unknown = app.send("GET", TenantId::generate(), stranger).await;
    assert_eq!(foreign.headers(), unknown.headers());
    assert_eq!(text(foreign).await, text(unknown).await);
}

#[tokio::test]
async fn the_limit_holds_across_clones_of_the_router() {
    let app = App::new();
    let Members { ada, good, lapsed } = app.members;
    let mut last = Vec::new();
    for _ in 0..6 {
        let answer = app.send("GET", good, Some(ada)).await;
        assert_eq!(answer.headers()["ratelimit-policy"], r#""api";q=5;w=60"#);
        last.push(answer.status().as_u16());
    }
    assert_eq!(last, [200, 200, 200, 200, 200, 429]);
    // Refused further in, and still a limited route.
    let refused = app.send("POST", lapsed, Some(ada)).await;
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(refused.headers().contains_key("ratelimit"));
}
