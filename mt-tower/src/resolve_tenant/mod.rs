//! Finds the tenant that a request names.
//!
//! [`ResolveTenant`] asks a [`Resolver`] and leaves a [`RequestedTenant`] in the request's
//! extensions. At this point nothing is known about the caller's membership: the transaction checks it, or
//! [`LoadAccess`](crate::load_access::LoadAccess) where there is none.
//!
//! | resolver | reads |
//! | --- | --- |
//! | [`PathParam`] | a parameter that the router has captured, from [`PathParams`] |
//! | [`PathTemplate`] | the path itself, for services without a router |
//! | [`Slug`] | a parameter that holds a slug, which it looks up in a [`Directory`] |
//! | [`Subdomain`] | the host, which it looks up in a [`Directory`] |
//! | [`TenantClaim`] | the tenant that the caller's credential is bound to |
//! | [`TenantHeader`] | a header that the client sets |
//! | a closure `Fn(&RequestContext<'_>) -> Option<TenantId>` | anything in the request's head |
//! | a tuple of two resolvers | the first, and the second only if the first finds nothing |
//!
//! `TenantDirectory` (feature `postgres`) is the directory of the slugs and the verified domains that `mt_core::pg` stores.
//! Implement [`Directory`] for names that you keep yourself.
//!
//! # When it refuses
//!
//! 404 `not-found`, or the problem given to [`or_refuse_with`](ResolveTenant::or_refuse_with), if the
//! request names no tenant. A name that cannot be a tenant's is always 404, because the response must
//! not differ from that for a tenant that does not exist: for instance an id in another form than
//! [`TenantId::parse`] takes. There is no default tenant.
//!
//! # Routes without a tenant
//!
//! Leave them outside of the layer. Where the layer stands before all routes, declare them
//! [tenant-free](ResolveTenant::tenant_free), or put [`TenantFree`] into the extensions of their
//! requests. [`LoadAccess`](crate::load_access::LoadAccess) then lets them pass too and loads no access,
//! so a handler that asks for access gets a 500.
//!
//! # One reading of a path
//!
//! A proxy merges `//`, a router decodes `%61`, a template does neither. If two components read one path
//! differently, a request can be checked for one tenant and served for another. So a path that names a
//! tenant is accepted only in its normal form ([`is_normal_path`]).
//!
//! # Deployment
//!
//! Handlers use the id from the extensions and do not parse the path again.
//!
//! # Example
//!
//! ```
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::resolve_tenant::{PathParam, ResolveTenant, TenantClaim};
//!
//! let layer = GuardLayer::new(
//!     ResolveTenant::new((PathParam("org_id"), TenantClaim))
//!         .tenant_free(|request| request.uri.path() == "/health"),
//! );
//! ```

mod claim;
mod directory;
mod header;
mod host;
mod normal_path;
mod path_param;
mod path_template;
#[cfg(feature = "postgres")]
mod recent_names;
mod slug;
#[cfg(feature = "postgres")]
mod tenant_directory;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use mt_core::id::TenantId;

pub use self::claim::TenantClaim;
pub use self::directory::{Directory, DirectoryError};
pub use self::header::TenantHeader;
pub use self::host::{ApexError, Subdomain};
pub use self::normal_path::is_normal_path;
pub use self::path_param::{PathParam, PathParams};
pub use self::path_template::{PathTemplate, PathTemplateError};
pub use self::slug::Slug;
#[cfg(feature = "postgres")]
pub use self::tenant_directory::TenantDirectory;
use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;

/// The tenant that a request names. The caller's membership is not checked yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestedTenant(pub TenantId);

/// Marks a request that needs no tenant. See the [module docs](self#routes-without-a-tenant).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TenantFree;

/// Finds the tenant that a request names.
///
/// Closures that do not wait are resolvers. Implement the trait for a lookup, such as that of a customer number in the
/// path:
///
/// ```
/// use mt_core::id::TenantId;
/// use mt_tower::RequestContext;
/// use mt_tower::problem::Problem;
/// use mt_tower::resolve_tenant::{PathParams, ResolveTenant, Resolver, is_normal_path};
///
/// struct CustomerNumber; // with a pool of connections
///
/// impl Resolver for CustomerNumber {
///     async fn resolve<'a>(
///         &'a self,
///         request: &'a RequestContext<'_>,
///     ) -> Result<Option<TenantId>, Problem> {
///         let Some(number) = request.require::<PathParams>()?.value("customer") else { return Ok(None) };
///         if !is_normal_path(request.uri.path()) {
///             return Err(Problem::NOT_FOUND);
///         }
///         // select tenant_id from customers where number = $1
///         # let _ = number;
///         Err(Problem::NOT_FOUND)
///     }
/// }
///
/// let guard = ResolveTenant::new(CustomerNumber);
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// Finds the tenant. `None` if the request names none in the place that this resolver reads.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with if the name cannot be a tenant's, or if the lookup fails. A
    /// second resolver of a tuple is not asked then.
    fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> impl Future<Output = Result<Option<TenantId>, Problem>> + Send + 'a;
}

impl<F> Resolver for F
where
    F: Fn(&RequestContext<'_>) -> Option<TenantId> + Send + Sync + 'static,
{
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        Ok(self(request))
    }
}

/// Asks the first resolver, and the second only if the first finds nothing. A malformed name is
/// refused and not passed on.
impl<A: Resolver, B: Resolver> Resolver for (A, B) {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        match self.0.resolve(request).await? {
            Some(tenant) => Ok(Some(tenant)),
            None => self.1.resolve(request).await,
        }
    }
}

/// Guard that finds the tenant of each request.
///
/// See the [module docs](self) for when it refuses and an example.
#[derive(Clone)]
#[must_use]
pub struct ResolveTenant<R> {
    resolver: R,
    unresolved: Problem,
    tenant_free: Option<Arc<IsTenantFree>>,
}

type IsTenantFree = dyn Fn(&RequestContext<'_>) -> bool + Send + Sync;

impl<R: Resolver> ResolveTenant<R> {
    /// Creates the guard with `resolver`.
    pub const fn new(resolver: R) -> Self {
        Self { resolver, unresolved: Problem::NOT_FOUND, tenant_free: None }
    }

    /// Refuses with `problem` if the request names no tenant.
    pub fn or_refuse_with(self, problem: Problem) -> Self {
        Self { unresolved: problem, ..self }
    }

    /// Lets requests pass without a tenant if `is` returns true. Compare whole paths: a path in another
    /// spelling is then refused.
    pub fn tenant_free(
        self,
        is: impl Fn(&RequestContext<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { tenant_free: Some(Arc::new(is)), ..self }
    }

    fn is_declared_free(&self, request: &RequestContext<'_>) -> bool {
        request.extensions.get::<TenantFree>().is_some()
            || self.tenant_free.as_ref().is_some_and(|is| is(request))
    }
}

impl<R: Resolver> Guard for ResolveTenant<R> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        if self.is_declared_free(&request) {
            request.extensions.insert(TenantFree);
            return Ok(());
        }
        let Some(tenant) = self.resolver.resolve(&request).await? else {
            return Err(self.unresolved.clone());
        };
        request.extensions.insert(RequestedTenant(tenant));
        Ok(())
    }
}

/// Parses an id that the request names.
fn parse(text: &str) -> Result<Option<TenantId>, Problem> {
    TenantId::parse(text).map(Some).ok_or(Problem::NOT_FOUND)
}

impl<R: fmt::Debug> fmt::Debug for ResolveTenant<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveTenant")
            .field("resolver", &self.resolver)
            .field("unresolved", &self.unresolved.code())
            .finish_non_exhaustive()
    }
}
