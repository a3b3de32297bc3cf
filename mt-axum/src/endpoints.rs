//! Ready-made endpoints as routes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use mt_core::access::AccessModel;
use mt_http::EndpointService;
use mt_tower::rate_limit::PeerAddr;

/// Returns a router with a route for the path of each of `endpoints`.
///
/// Limits by address need the peer's address: start the server with
/// `into_make_service_with_connect_info::<SocketAddr>()`, or by `mt_axum::serve`.
///
/// ```
/// use axum::Router;
/// use mt_core::member_policy::MemberPolicy;
/// use mt_http::EndpointService;
///
/// fn app<M: MemberPolicy>(routes: Router, endpoints: &EndpointService<M>) -> Router {
///     routes.merge(mt_axum::endpoints(endpoints))
/// }
/// ```
pub fn endpoints<M: AccessModel>(endpoints: &EndpointService<M>) -> Router {
    let paths: BTreeSet<_> = endpoints.routes().into_iter().map(|route| route.path).collect();
    let router = paths
        .iter()
        .fold(Router::new(), |router, path| router.route_service(path, endpoints.clone()));
    router.layer(from_fn(copy_peer))
}

/// Copies the peer's address to where guards look for it.
async fn copy_peer(mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    if let Some(ConnectInfo(peer)) = peer {
        request.extensions_mut().insert(PeerAddr(peer));
    }
    next.run(request).await
}
