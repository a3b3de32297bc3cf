//! The tenant named by a parameter that a router has captured.

use std::borrow::Cow;

use mt_core::id::TenantId;

use super::normal_path::is_normal;
use super::{NameSource, Resolver, parse};
use crate::guard::View;
use crate::problem::Problem;

/// What the router has captured from the path, decoded.
///
/// Routers keep this where tower layers cannot see it, so a bridge of a few lines copies it into the
/// request's extensions. In axum:
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
    /// The value captured under `name`.
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

/// Reads the tenant from the path parameter of this name.
///
/// It needs [`PathParams`] in the request's extensions; without them the request is refused with
/// 500, because the bridge is missing. A path that is not in the
/// [normal form](super#one-reading-of-a-path) is refused.
#[derive(Clone, Copy, Debug)]
pub struct PathParam(pub &'static str);

impl NameSource for PathParam {
    fn name<'v>(&self, view: &'v View<'_>) -> Result<Option<Cow<'v, str>>, Problem> {
        let params = view.need::<PathParams>()?;
        match params.value(self.0) {
            Some(_) if !is_normal(view.uri.path()) => Err(Problem::NOT_FOUND),
            value => Ok(value.map(Cow::Borrowed)),
        }
    }
}

impl Resolver for PathParam {
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        self.name(view)?.map_or(Ok(None), |name| parse(&name))
    }
}
