//! The tenant named by a header.

use http::header::HeaderName;
use mt_core::id::TenantId;

use super::{Resolver, parse};
use crate::guard::RequestContext;
use crate::problem::Problem;

/// Resolver for a header that the client sets. Two headers of the name refuse the request: the proxy
/// in front may have read the other one.
///
/// # Deployment
///
/// Proxies route and caches store by path and host. A cache in front has to know that responses depend
/// on this header (`Vary`), and access logs by path do not show the tenant. The name of the constructor
/// is a reminder of that; prefer the path or the host where they can name the tenant.
#[derive(Clone, Debug)]
pub struct TenantHeader(HeaderName);

impl TenantHeader {
    /// Reads the header `name`, which is in lower case.
    ///
    /// # Panics
    ///
    /// If `name` is not a header name in lower case.
    #[must_use]
    pub const fn chosen_by_client(name: &'static str) -> Self {
        Self(HeaderName::from_static(name))
    }
}

impl Resolver for TenantHeader {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        let mut values = request.headers.get_all(&self.0).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => one.to_str().map_err(|_| Problem::NOT_FOUND).and_then(parse),
            (Some(_), Some(_)) => Err(Problem::NOT_FOUND),
        }
    }
}
