//! What is counted apart.

use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{Access, AccessModel};
use mt_core::auth::Principal;

use crate::guard::View;
use crate::problem::Problem;
use crate::resolve_tenant::RequestedTenant;

/// Says what a request is counted under.
pub trait RateKey: Send + Sync + 'static {
    /// The key. Its length does not matter, and its parts must not be able to run into each
    /// other: join ids, not free text.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to refuse with when there is none. A request without a key is never let
    /// through uncounted.
    fn key(&self, view: &View<'_>) -> Result<String, Problem>;
}

impl<F> RateKey for F
where
    F: Fn(&View<'_>) -> Result<String, Problem> + Send + Sync + 'static,
{
    fn key(&self, view: &View<'_>) -> Result<String, Problem> {
        self(view)
    }
}

/// Counts each caller. Needs [`Authenticate`](crate::authenticate::Authenticate) before it.
#[derive(Clone, Copy, Debug)]
pub struct ByPrincipal;

impl RateKey for ByPrincipal {
    fn key(&self, view: &View<'_>) -> Result<String, Problem> {
        Ok(format!("p/{}", view.need::<Principal>()?.id()))
    }
}

/// Counts each caller in each tenant.
///
/// Needs a principal and a [`RequestedTenant`]. Before access is loaded, a caller who makes up
/// tenants gets a count for each; put [`LoadAccess`](crate::load_access::LoadAccess) before it, or
/// a limit [`ByPrincipal`].
#[derive(Clone, Copy, Debug)]
pub struct ByPrincipalAndTenant;

impl RateKey for ByPrincipalAndTenant {
    fn key(&self, view: &View<'_>) -> Result<String, Problem> {
        let RequestedTenant(tenant) = view.need()?;
        Ok(format!("p/{}/t/{tenant}", view.need::<Principal>()?.id()))
    }
}

/// Counts each tenant, whoever calls.
///
/// Needs the [`Access`] of a [`LoadAccess`](crate::load_access::LoadAccess), and not merely the
/// tenant that was asked for: strangers could use up a quota that is not theirs.
pub struct ByTenant<M> {
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> ByTenant<M> {
    /// The key.
    #[must_use]
    pub const fn new() -> Self {
        Self { model: PhantomData }
    }
}

impl<M: AccessModel> RateKey for ByTenant<M> {
    fn key(&self, view: &View<'_>) -> Result<String, Problem> {
        Ok(format!("t/{}", view.need::<Access<M>>()?.tenant()))
    }
}

impl<M: AccessModel> Default for ByTenant<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for ByTenant<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for ByTenant<M> {}

impl<M> fmt::Debug for ByTenant<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByTenant")
    }
}

/// Counts a class of routes apart from others with the same policy and key, as in
/// `Class("redeem", ClientAddress::direct())`.
#[derive(Clone, Copy, Debug)]
pub struct Class<K>(pub &'static str, pub K);

impl<K: RateKey> RateKey for Class<K> {
    fn key(&self, view: &View<'_>) -> Result<String, Problem> {
        Ok(format!("{}:{}", self.0, self.1.key(view)?))
    }
}
