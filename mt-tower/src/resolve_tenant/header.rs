//! The tenant named by a header.

use std::borrow::Cow;

use http::header::HeaderName;
use mt_core::id::TenantId;

use super::{NameSource, Resolver, parse};
use crate::guard::View;
use crate::problem::Problem;

/// Reads the tenant from a header, which the client writes as it likes. Two headers of the name refuse
/// the request: the proxy in front may have read the other one.
///
/// # Deployment
///
/// Proxies route and caches store by path and host. A cache in front has to know that answers depend
/// on this header (`Vary`), and access logs by path do not say whose data was asked for. That is why
/// the constructors are called what they are: where the path or the host can name the tenant, let it.
#[derive(Clone, Debug)]
pub struct TenantHeader(HeaderName);

impl TenantHeader {
    /// Reads the header `name`, spelled in lower case.
    ///
    /// # Panics
    ///
    /// When `name` is not a header's name in lower case.
    #[must_use]
    pub const fn chosen_by_client(name: &'static str) -> Self {
        Self(HeaderName::from_static(name))
    }
}

impl NameSource for TenantHeader {
    fn name<'v>(&self, view: &'v View<'_>) -> Result<Option<Cow<'v, str>>, Problem> {
        let mut values = view.headers.get_all(&self.0).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => {
                one.to_str().map(|text| Some(Cow::Borrowed(text))).map_err(|_| Problem::NOT_FOUND)
            }
            (Some(_), Some(_)) => Err(Problem::NOT_FOUND),
        }
    }
}

impl Resolver for TenantHeader {
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        self.name(view)?.map_or(Ok(None), |name| parse(&name))
    }
}
