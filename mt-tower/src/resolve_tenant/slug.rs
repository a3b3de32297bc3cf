//! The tenant named by a slug in the path.

use mt_core::id::TenantId;
use mt_core::tenant_name;

use super::directory::{self, Directory};
use super::normal_path::is_normal_path;
use super::{PathParams, Resolver};
use crate::guard::RequestContext;
use crate::problem::Problem;

/// Resolver for a path parameter that holds a tenant's slug: `acme` of `/orgs/acme/projects`.
///
/// It needs [`PathParams`] in the request's extensions, as [`PathParam`](super::PathParam) does.
///
/// # When it refuses
///
/// 404 `not-found`: a path that is not in its [normal form](super::is_normal_path), a text that is not a slug
/// ([`Slug::parse`](tenant_name::Slug::parse), which takes lower case only), and a slug that the directory does not
/// know. 503 `unavailable`: the directory failed.
///
/// ```
/// use mt_tower::resolve_tenant::{Directory, ResolveTenant, Slug};
///
/// # fn example(directory: impl Directory) {
/// // For routes such as `/orgs/{org}/projects`.
/// let guard = ResolveTenant::new(Slug::param("org", directory));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Slug<D> {
    param: &'static str,
    directory: D,
}

impl<D: Directory> Slug<D> {
    /// Looks up the path parameter of this name.
    pub const fn param(param: &'static str, directory: D) -> Self {
        Self { param, directory }
    }
}

impl<D: Directory> Resolver for Slug<D> {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        let Some(slug) = request.require::<PathParams>()?.value(self.param) else {
            return Ok(None);
        };
        // A directory may know other names too, such as domains.
        if !is_normal_path(request.uri.path()) || tenant_name::Slug::parse(slug).is_err() {
            return Err(Problem::NOT_FOUND);
        }
        directory::look_up(&self.directory, slug).await.map(Some)
    }
}
