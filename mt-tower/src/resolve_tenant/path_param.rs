//! The tenant named by a parameter that a router has captured.

use mt_core::id::TenantId;

use super::normal_path::is_normal_path;
use super::{Resolver, parse};
use crate::guard::RequestContext;
use crate::problem::Problem;

/// The parameters that the router has captured from the path, decoded.
///
/// Routers keep them where tower layers cannot see them, so a middleware of a few lines copies them
/// into the request's extensions. `mt-axum` and `mt-salvo` have one. By hand, in axum:
///
/// ```
/// use axum::extract::{RawPathParams, Request};
/// use axum::middleware::{self, Next};
/// use axum::response::Response;
/// use mt_tower::resolve_tenant::PathParams;
///
/// async fn export_params(params: RawPathParams, mut request: Request, next: Next) -> Response {
///     request.extensions_mut().insert(PathParams::from_iter(&params));
///     next.run(request).await
/// }
///
/// // Below the router and above the layers that read it.
/// let app: axum::Router = axum::Router::new()
///     .route("/orgs/{org_id}", axum::routing::get(async || "ok"))
///     .route_layer(middleware::from_fn(export_params));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// Returns the value captured under `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for PathParams {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(params: I) -> Self {
        Self(params.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Resolver for the path parameter of this name.
///
/// It needs [`PathParams`] in the request's extensions; without them the request is refused with
/// 500, because the middleware above is missing. A path that is not in its
/// [normal form](super::is_normal_path) is refused.
#[derive(Clone, Copy, Debug)]
pub struct PathParam(pub &'static str);

impl Resolver for PathParam {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        match request.require::<PathParams>()?.value(self.0) {
            None => Ok(None),
            Some(_) if !is_normal_path(request.uri.path()) => Err(Problem::NOT_FOUND),
            Some(id) => parse(id),
        }
    }
}
