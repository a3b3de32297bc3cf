//! Routes outside of tenants, and guards that are missing.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::routing::get;
use mt_axum::{Caller, guarded};
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::PrincipalId;
use mt_tower::authenticate::Authenticate;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::resolve_tenant::PathParams;
use mt_tower::{Guard, RequestContext};
use tower::ServiceExt as _;

/// Takes any token.
struct Anyone;

impl Authenticator for Anyone {
    async fn authenticate(&self, _: &str) -> Result<Principal, AuthError> {
        Ok(Principal::new(PrincipalId::generate()))
    }
}

async fn status(app: &Router, request: http::request::Builder) -> StatusCode {
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn a_caller_needs_its_guard() {
    let me = || Router::new().route("/me", get(async |_: Caller| "me"));
    let app = guarded(me(), Authenticate::new(Anyone));
    assert_eq!(status(&app, Request::get("/me")).await, 401);
    assert_eq!(status(&app, Request::get("/me").header("authorization", "Bearer x")).await, 200);
    assert_eq!(status(&me(), Request::get("/me")).await, 500);
    let optional = Router::new().route(
        "/",
        get(
            async |caller: Option<Caller>| {
                if caller.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT }
            },
        ),
    );
    assert_eq!(status(&optional, Request::get("/")).await, 204);
}

/// Lets requests pass that it sees the parameter and the peer of.
struct Sees;

impl Guard for Sees {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let params = request.require::<PathParams>()?;
        let PeerAddr(peer) = request.require::<PeerAddr>()?;
        let seen = params.value("shop") == Some("a b") && peer.port() == 7;
        if seen { Ok(()) } else { Err(Problem::FORBIDDEN) }
    }
}

#[tokio::test]
async fn guards_see_the_path_and_the_peer() {
    let app = guarded(Router::new().route("/shops/{shop}", get(async || "shop")), Sees);
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 7)));
    assert_eq!(status(&app, Request::get("/shops/a%20b").extension(peer)).await, 200);
    assert_eq!(status(&app, Request::get("/shops/c").extension(peer)).await, 403);
    assert_eq!(status(&app, Request::get("/shops/a%20b")).await, 500);
}
