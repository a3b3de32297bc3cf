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
//! | [`Subdomain`] | the host, by looking its name up in a [`Directory`] |
//! | [`TenantClaim`] | the tenant that the caller's credential is bound to |
//! | [`TenantHeader`], [`TenantQuery`] | what the client chooses to write there |
//! | [`Slug`] | a slug in one of these places, by looking it up in a [`Directory`] |
//! | a closure `Fn(&View<'_>) -> Option<TenantId>` | whatever it likes |
//! | [`FirstOf`] | one resolver, and where that finds nothing, another |
//! | [`MustAgree`] | two resolvers, which must not name two tenants |
//!
//! # When it refuses
//!
//! 404 `not-found`, or [what it is told](ResolveTenant::or_refuse_with), when no tenant was named. What
//! is named and cannot be a tenant is 404 always, since it must not differ from a tenant that is
//! not there: an id in another form than the one that [`TenantId::parse`] takes, a slug in capitals.
//! There is no default tenant.
//!
//! # Routes without a tenant
//!
//! Leave them outside of the layer. Where it stands before all routes, declare them
//! [tenant-free](ResolveTenant::tenant_free), or put [`TenantFree`] into the extensions of their
//! requests. Then [`LoadAccess`](crate::load_access::LoadAccess) and
//! [`BillingGate`](crate::billing_gate::BillingGate) let them pass too. No access comes of it: a
//! handler that asks for one gets a 500.
//!
//! # One reading of a path
//!
//! A proxy merges `//`, a router decodes `%61`, a template does neither: two readings of one path are
//! how a request is checked for one tenant and served for another. So a path that names a tenant is
//! taken only in its normal form (RFC 3986 §6.2.2): no `.` and `..` segments, with whichever slashes
//! around them, no empty segment but the last, and nothing percent-encoded that need not be.
//!
//! # Deployment
//!
//! Handlers use the id from the extensions and do not read the path again.
//!
//! # Example
//!
//! ```
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::resolve_tenant::{FirstOf, PathParam, ResolveTenant, TenantClaim};
//!
//! let layer = GuardLayer::new(
//!     ResolveTenant::new(FirstOf(PathParam("org_id"), TenantClaim))
//!         .tenant_free(|view| view.uri.path() == "/health"),
//! );
//! ```

mod chain;
mod claim;
mod directory;
mod header;
mod host;
mod normal_path;
mod path_param;
mod path_template;
mod query;
mod slug;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use mt_core::id::TenantId;

pub use self::chain::{FirstOf, MustAgree};
pub use self::claim::TenantClaim;
pub use self::directory::{CachedDirectory, Directory, DirectoryError};
pub use self::header::TenantHeader;
pub use self::host::{ApexError, Subdomain};
pub use self::path_param::{PathParam, PathParams};
pub use self::path_template::{PathTemplate, PathTemplateError};
pub use self::query::TenantQuery;
pub use self::slug::{Slug, is_slug};
use crate::guard::{Guard, View};
use crate::problem::Problem;

/// The tenant that a request asks for. It says nothing about whether the caller may have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestedTenant(pub TenantId);

/// Marks a request that needs no tenant. See the [module docs](self#routes-without-a-tenant).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TenantFree;

/// Says which tenant a request is for.
///
/// Implemented for closures that need not wait; implement it by hand where something has to be looked
/// up in another way than by a [`Directory`].
pub trait Resolver: Send + Sync + 'static {
    /// Promises that [`resolve`](Self::resolve) is done when it is first polled; see
    /// [`Guard::NEVER_WAITS`].
    const NEVER_WAITS: bool = false;

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
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        Ok(self(view))
    }
}

/// Where a request names its tenant, be it by id or by [`Slug`].
pub trait NameSource: Send + Sync + 'static {
    /// The name, or none when the request has none in this place.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with, when the place is there and does not hold one name.
    fn name<'v>(&self, view: &'v View<'_>) -> Result<Option<Cow<'v, str>>, Problem>;
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

type IsTenantFree = dyn Fn(&View<'_>) -> bool + Send + Sync;

impl<R: Resolver> ResolveTenant<R> {
    /// Resolves with `resolver`.
    pub const fn new(resolver: R) -> Self {
        Self { resolver, unresolved: Problem::NOT_FOUND, tenant_free: None }
    }

    /// Refuses with `problem` where no tenant is named.
    pub fn or_refuse_with(self, problem: Problem) -> Self {
        Self { unresolved: problem, ..self }
    }

    /// Lets requests pass without a tenant for which this is true. Compare whole paths: one that is not
    /// spelled like that is not declared, and refused.
    pub fn tenant_free(self, is: impl Fn(&View<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { tenant_free: Some(Arc::new(is)), ..self }
    }

    fn is_declared_free(&self, view: &View<'_>) -> bool {
        view.extensions.get::<TenantFree>().is_some()
            || self.tenant_free.as_ref().is_some_and(|is| is(view))
    }
}

impl<R: Resolver> Guard for ResolveTenant<R> {
    const NEVER_WAITS: bool = R::NEVER_WAITS;

    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        if self.is_declared_free(&view) {
            view.extensions.insert(TenantFree);
            return Ok(());
        }
        let Some(tenant) = self.resolver.resolve(&view).await? else {
            return Err(self.unresolved.clone());
        };
        view.extensions.insert(RequestedTenant(tenant));
        Ok(())
    }
}

/// Reads an id that the request names.
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
