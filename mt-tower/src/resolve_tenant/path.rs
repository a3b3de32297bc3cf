//! The tenant named by the path.

use mt_core::id::TenantId;

use super::{Resolver, parse};
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
/// 500, because the bridge is missing.
#[derive(Clone, Copy, Debug)]
pub struct PathParam(pub &'static str);

impl Resolver for PathParam {
    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        view.need::<PathParams>()?.value(self.0).map_or(Ok(None), parse)
    }
}

/// Reads the tenant from a path that begins as this template does, as in `/orgs/{tenant}`.
///
/// Segments are compared with the path as it came, without decoding; `{tenant}` captures one and any
/// other name in braces skips one. What follows the template is ignored.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    // INVARIANT: exactly one is `Tenant`.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Any,
    Literal(String),
    Tenant,
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`PathTemplateError`] unless it begins with `/` and has the segment `{tenant}` once.
    pub fn new(template: &str) -> Result<Self, PathTemplateError> {
        let refused = || PathTemplateError(template.to_owned());
        let segments: Vec<_> = template
            .strip_prefix('/')
            .ok_or_else(refused)?
            .split('/')
            .map(|segment| match segment {
                "{tenant}" => Segment::Tenant,
                named if named.starts_with('{') && named.ends_with('}') => Segment::Any,
                literal => Segment::Literal(literal.to_owned()),
            })
            .collect();
        match segments.iter().filter(|segment| **segment == Segment::Tenant).count() {
            1 => Ok(Self { segments }),
            _ => Err(refused()),
        }
    }

    /// The segment at the place of `{tenant}`, if the path has the template's form.
    fn capture<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut given = path.strip_prefix('/')?.split('/');
        let mut captured = None;
        for expected in &self.segments {
            let segment = given.next()?;
            match expected {
                Segment::Any => {}
                Segment::Literal(literal) if literal == segment => {}
                Segment::Literal(_) => return None,
                Segment::Tenant => captured = Some(segment),
            }
        }
        captured
    }
}

impl Resolver for PathTemplate {
    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        self.capture(view.uri.path()).map_or(Ok(None), parse)
    }
}

/// The text is no template.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no path template: it begins with `/` and has the segment `{{tenant}}` once")]
pub struct PathTemplateError(String);
