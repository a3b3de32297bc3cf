//! How much is let through, fixed or by what is known of the caller.

use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{Access, AccessModel};
use mt_core::limit::Quota;

use crate::guard::View;
use crate::problem::Problem;
use crate::resolve_tenant::TenantFree;

/// Says how much a request's key may do. None is no limit, and then nothing is counted.
pub trait QuotaSource: Send + Sync + 'static {
    /// The quota for this request.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with when it cannot be told.
    fn quota(&self, view: &View<'_>) -> Result<Option<Quota>, Problem>;
}

impl QuotaSource for Quota {
    fn quota(&self, _: &View<'_>) -> Result<Option<Quota>, Problem> {
        Ok(Some(*self))
    }
}

impl QuotaSource for Option<Quota> {
    fn quota(&self, _: &View<'_>) -> Result<Option<Quota>, Problem> {
        Ok(*self)
    }
}

impl<F> QuotaSource for F
where
    F: Fn(&View<'_>) -> Result<Option<Quota>, Problem> + Send + Sync + 'static,
{
    fn quota(&self, view: &View<'_>) -> Result<Option<Quota>, Problem> {
        self(view)
    }
}

/// Goes by what is known of the caller and the tenant, the plan above all.
///
/// It needs the [`Access`] of a [`LoadAccess`](crate::load_access::LoadAccess) before it. Where there is
/// [no tenant](TenantFree) there is no limit.
///
/// ```
/// use std::num::NonZeroU32;
/// use mt_core::access::{Access, AccessModel};
/// use mt_core::limit::Quota;
/// use mt_core::word::Word as _;
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
    /// Asks `decide`.
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
    fn quota(&self, view: &View<'_>) -> Result<Option<Quota>, Problem> {
        if view.extensions.get::<TenantFree>().is_some() {
            return Ok(None);
        }
        view.need().map(&self.decide)
    }
}

impl<M, F> fmt::Debug for QuotaByAccess<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaByAccess").finish_non_exhaustive()
    }
}
