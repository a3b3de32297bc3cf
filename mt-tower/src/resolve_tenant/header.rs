//! The tenant named by a header.

use http::header::HeaderName;
use mt_core::id::TenantId;

use super::{Resolver, parse};
use crate::guard::View;
use crate::problem::Problem;

/// Reads the tenant from a header. Two headers of the name refuse the request: the proxy in front
/// may have read the other one.
#[derive(Clone, Debug)]
pub struct TenantHeader(HeaderName);

impl TenantHeader {
    /// Reads the header `name`.
    #[must_use]
    pub const fn new(name: HeaderName) -> Self {
        Self(name)
    }

    /// Reads the header `name`, spelled in lower case.
    ///
    /// # Panics
    ///
    /// When `name` is not a header's name in lower case.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(HeaderName::from_static(name))
    }
}

impl Resolver for TenantHeader {
    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        let mut values = view.headers.get_all(&self.0).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => parse(one.to_str().map_err(|_| Problem::NOT_FOUND)?),
            (Some(_), Some(_)) => Err(Problem::NOT_FOUND),
        }
    }
}
