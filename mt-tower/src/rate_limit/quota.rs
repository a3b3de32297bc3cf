//! Quotas of rate limits, fixed or by the caller's access.

use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{Access, AccessModel};
use mt_core::limit::Quota;

use crate::guard::RequestContext;
use crate::load_access::loaded_or_recent;
use crate::problem::Problem;
use crate::resolve_tenant::TenantFree;

/// Chooses the quota of a request. Without a quota the request is neither counted nor limited.
pub trait QuotaSource: Send + Sync + 'static {
    /// Returns the quota of this request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with if it cannot be chosen.
    fn quota(&self, request: &RequestContext<'_>) -> Result<Option<Quota>, Problem>;
}

impl QuotaSource for Quota {
    fn quota(&self, _: &RequestContext<'_>) -> Result<Option<Quota>, Problem> {
        Ok(Some(*self))
    }
}

impl QuotaSource for Option<Quota> {
    fn quota(&self, _: &RequestContext<'_>) -> Result<Option<Quota>, Problem> {
        Ok(*self)
    }
}

impl<F> QuotaSource for F
where
    F: Fn(&RequestContext<'_>) -> Result<Option<Quota>, Problem> + Send + Sync + 'static,
{
    fn quota(&self, request: &RequestContext<'_>) -> Result<Option<Quota>, Problem> {
        self(request)
    }
}

/// Quota by the caller's access, such as the tenant's plan.
///
/// It needs a [`LoadAccess`](crate::load_access::LoadAccess) before it. Requests
/// [without a tenant](TenantFree) have no limit. After a change of plan the old quota counts until the next decision on
/// the caller's membership.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::access::{Access, AccessModel};
/// use mt_core::limit::Quota;
/// use mt_core::text_enum::TextEnum as _;
/// use mt_tower::rate_limit::{QuotaByAccess, QuotaSource};
///
/// fn ten_times_for_pro<M: AccessModel>() -> impl QuotaSource {
///     QuotaByAccess::new(|access: &Access<M>| {
///         let limit = if access.plan().as_str() == "pro" { 600 } else { 60 };
///         NonZeroU32::new(limit).map(Quota::per_minute)
///     })
/// }
/// ```
pub struct QuotaByAccess<M, F> {
    decide: F,
    model: PhantomData<fn() -> M>,
}

impl<M, F> QuotaByAccess<M, F>
where
    M: AccessModel,
    F: Fn(&Access<M>) -> Option<Quota> + Send + Sync + 'static,
{
    /// Creates the quota that `decide` chooses.
    #[must_use]
    pub const fn new(decide: F) -> Self {
        Self { decide, model: PhantomData }
    }
}

impl<M, F> QuotaSource for QuotaByAccess<M, F>
where
    M: AccessModel,
    F: Fn(&Access<M>) -> Option<Quota> + Send + Sync + 'static,
{
    fn quota(&self, request: &RequestContext<'_>) -> Result<Option<Quota>, Problem> {
        if request.extensions.get::<TenantFree>().is_some() {
            return Ok(None);
        }
        Ok((self.decide)(loaded_or_recent::<M>(request)?))
    }
}

impl<M, F> fmt::Debug for QuotaByAccess<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaByAccess").finish_non_exhaustive()
    }
}
