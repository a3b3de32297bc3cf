//! Finds the tenant that a request is for.
//!
//! [`ResolveTenant`] asks a [`Resolver`] and leaves a [`RequestedTenant`] in the request's
//! extensions. It is a wish: whether the caller is a member is found out by
//! [`LoadAccess`](crate::load_access::LoadAccess) and by the transaction.
//!
//! | resolver | reads |
//! | --- | --- |
//! | [`PathParam`] | a parameter that the router has captured, from [`PathParams`] |
//! | [`PathTemplate`] | the path itself, for services without a router |
//! | [`TenantHeader`] | a header |
//! | a closure `Fn(&View<'_>) -> Option<TenantId>` | whatever it likes |
//! | [`Subdomain`] | the host, by looking its name up in a [`Directory`] |
//! | [`FirstOf`] | one resolver, and where that finds nothing, another |
//! | [`MustAgree`] | two resolvers, which must not name two tenants |
//!
//! # When it refuses
//!
//! 404 `not-found`, when nothing was found or what was found is not an id in the one form that
//! [`TenantId::parse`](mt_core::id::TenantId::parse) takes. There is no default tenant.
//!
//! # Deployment
//!
//! Handlers must use the id from the extensions and not read the path again: a router decodes
//! what a template compares as it came, and two readings of one path are how requests get checked
//! for one tenant and served for another. Prefer [`PathParam`] where there is a router.
//!
//! # Example
//!
//! ```
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::resolve_tenant::{FirstOf, PathParam, ResolveTenant, TenantHeader};
//!
//! let layer = GuardLayer::new(ResolveTenant::new(FirstOf(
//!     PathParam("org_id"),
//!     TenantHeader::from_static("x-tenant-id"),
//! )));
//! ```

mod chain;
mod directory;
mod header;
mod host;
mod path;

use std::future::Future;

use mt_core::id::TenantId;

pub use self::chain::{FirstOf, MustAgree};
pub use self::directory::{CachedDirectory, Directory, DirectoryError};
pub use self::header::TenantHeader;
pub use self::host::{ApexError, Subdomain};
pub use self::path::{PathParam, PathParams, PathTemplate, PathTemplateError};
use crate::guard::{Guard, Pass, View};
use crate::problem::Problem;

/// The tenant that a request asks for. It says nothing about whether the caller may have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestedTenant(pub TenantId);

/// Says which tenant a request is for.
///
/// Implemented for closures that need not wait; implement it by hand where a name has to be looked
/// up, as for subdomains.
pub trait Resolver: Send + Sync + 'static {
    /// Finds the tenant, or finds that this resolver has nothing to say about the request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with, when the request names a tenant in a way that cannot be
    /// one, or when the lookup fails. No other resolver is asked then.
    fn resolve<'a>(
        &'a self,
        view: &'a View<'_>,
    ) -> impl Future<Output = Result<Option<TenantId>, Problem>> + Send + 'a;
}

impl<F> Resolver for F
where
    F: Fn(&View<'_>) -> Option<TenantId> + Send + Sync + 'static,
{
    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        Ok(self(view))
    }
}

/// Guard that finds the tenant of each request.
///
/// See the [module docs](self) for when it refuses and an example.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ResolveTenant<R> {
    resolver: R,
}

impl<R: Resolver> ResolveTenant<R> {
    /// Resolves with `resolver`.
    pub const fn new(resolver: R) -> Self {
        Self { resolver }
    }
}

impl<R: Resolver> Guard for ResolveTenant<R> {
    async fn check<'a>(&'a self, view: View<'a>) -> Result<Pass, Problem> {
        let tenant = self.resolver.resolve(&view).await?.ok_or(Problem::NOT_FOUND)?;
        view.extensions.insert(RequestedTenant(tenant));
        Ok(Pass::new())
    }
}

/// Reads an id that the request names.
fn parse(text: &str) -> Result<Option<TenantId>, Problem> {
    TenantId::parse(text).map(Some).ok_or(Problem::NOT_FOUND)
}
