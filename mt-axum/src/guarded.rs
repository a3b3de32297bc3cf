//! Guards before the routes of a router.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use mt_tower::Guard;
use mt_tower::layer::GuardLayer;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::resolve_tenant::PathParams;

use crate::request;

/// Puts `guard` before the routes that `router` has so far. Several guards in a tuple are one guard.
///
/// Each request gets an id ([`RequestId`](mt_tower::request_id::RequestId)) unless a layer outside has chosen one. The answer
/// has it as `x-request-id`, problems as `request_id`, and audit entries name it.
///
/// The guard finds the path parameters that axum has captured ([`PathParams`]), and the peer's address ([`PeerAddr`]) if
/// the server was started with `into_make_service_with_connect_info::<SocketAddr>()`, or by `mt_axum::serve`.
///
/// ```
/// use axum::{Router, routing::get};
/// use mt_axum::{Caller, guarded};
/// use mt_core::auth::Authenticator;
/// use mt_tower::authenticate::Authenticate;
///
/// fn me(tokens: impl Authenticator) -> Router {
///     let routes = Router::new().route("/me", get(async |caller: Caller| caller.0.id().to_string()));
///     guarded(routes, Authenticate::new(tokens))
/// }
/// ```
pub fn guarded<S>(router: Router<S>, guard: impl Guard) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.route_layer(GuardLayer::new(guard)).route_layer(from_fn(prepare))
}

/// Chooses the request's id, and copies the captured path parameters and the peer's address to where guards look for them.
async fn prepare(params: RawPathParams, mut request: Request, next: Next) -> Response {
    let id = request::identify(&mut request);
    let extensions = request.extensions_mut();
    extensions.insert(PathParams::from_iter(&params));
    if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>().copied() {
        extensions.insert(PeerAddr(peer));
    }
    request::run(&id, request, next).await
}
