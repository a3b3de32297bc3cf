//! What is counted apart.

use std::fmt;
use std::marker::PhantomData;

use mt_core::access::{Access, AccessModel};
use mt_core::auth::Principal;

use super::KeyWriter;
use crate::guard::View;
use crate::problem::Problem;
use crate::resolve_tenant::{RequestedTenant, TenantFree};

/// Says what a request is counted under.
///
/// Keys in a tuple are one key, which tells apart whatever one of them does: `(ByPrincipal,
/// ByTenant::<M>::new())`. Implemented for closures that make a text.
pub trait RateKey: Send + Sync + 'static {
    /// Writes the key.
    ///
    /// # Errors
    ///
    /// [`NoKey::DoesNotApply`] when the request is none of those that are counted here, and
    /// [`NoKey::Refused`] when there should be a key and is none: a request is never let through
    /// uncounted by mistake.
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey>;
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq)]
pub enum NoKey {
    /// The request is not counted here.
    DoesNotApply,
    /// The request is refused with this.
    Refused(Problem),
}

impl From<Problem> for NoKey {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl<F> RateKey for F
where
    F: Fn(&View<'_>) -> Result<String, Problem> + Send + Sync + 'static,
{
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        key.part("own", self(view)?);
        Ok(())
    }
}

macro_rules! combination {
    ($($key:ident)+) => {
        impl<$($key: RateKey),+> RateKey for ($($key,)+) {
            #[expect(non_snake_case, reason = "a type's name serves as its value's")]
            fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
                let ($($key,)+) = self;
                $($key.write(view, key)?;)+
                Ok(())
            }
        }
    };
}

combination!(A B);
combination!(A B C);
combination!(A B C D);

/// Counts each caller. Needs [`Authenticate`](crate::authenticate::Authenticate) before it.
#[derive(Clone, Copy, Debug)]
pub struct ByPrincipal;

impl RateKey for ByPrincipal {
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        key.id("p", view.need::<Principal>()?.id().as_uuid());
        Ok(())
    }
}

/// Counts each caller in each tenant. It does not apply where there is [no tenant](TenantFree).
///
/// Needs a principal and a [`RequestedTenant`]. Before access is loaded, a caller who makes up
/// tenants gets a count for each; put [`LoadAccess`](crate::load_access::LoadAccess) before it, or
/// a limit [`ByPrincipal`].
#[derive(Clone, Copy, Debug)]
pub struct ByPrincipalAndTenant;

impl RateKey for ByPrincipalAndTenant {
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        if view.extensions.get::<TenantFree>().is_some() {
            return Err(NoKey::DoesNotApply);
        }
        let RequestedTenant(tenant) = view.need()?;
        ByPrincipal.write(view, key)?;
        key.id("t", tenant.as_uuid());
        Ok(())
    }
}

/// Counts each tenant, whoever calls. It does not apply where there is [no tenant](TenantFree).
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
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        if view.extensions.get::<TenantFree>().is_some() {
            return Err(NoKey::DoesNotApply);
        }
        key.id("t", view.need::<Access<M>>()?.tenant().as_uuid());
        Ok(())
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
    fn write(&self, view: &View<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        key.part("class", self.0);
        self.1.write(view, key)
    }
}
