//! Keys of rate limits: which requests share a quota.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;

use mt_core::access::AccessModel;
use mt_core::auth::Principal;

use super::KeyWriter;
use crate::guard::RequestContext;
use crate::load_access::loaded_or_recent;
use crate::problem::Problem;
use crate::resolve_tenant::TenantFree;

/// Makes the key that a request is counted under.
///
/// Several keys in a tuple are one key: requests share a quota if all parts are equal. `(ByPrincipal,
/// ByTenant::<M>::new())` counts each caller in each tenant. Implemented for closures that return a
/// text.
pub trait RateKey: Send + Sync + 'static {
    /// Writes the key.
    ///
    /// # Errors
    ///
    /// [`NoKey::DoesNotApply`] if this limit does not count the request, and [`NoKey::Refused`] if the key
    /// cannot be made: a request is never let through uncounted by mistake.
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey>;

    /// Writes a wider key that the request is counted under as well, and returns the factor by which its
    /// quota is larger. `None` if there is no wider key; what was written is then not used.
    ///
    /// For clients that can change their key at will, such as their network.
    ///
    /// # Errors
    ///
    /// [`NoKey`], as of [`write`](Self::write).
    fn write_wider(
        &self,
        request: &RequestContext<'_>,
        key: &mut KeyWriter,
    ) -> Result<Option<NonZeroU32>, NoKey> {
        let _ = (request, key);
        Ok(None)
    }
}

/// Why a request has no key.
#[derive(Clone, Debug, PartialEq)]
pub enum NoKey {
    /// This limit does not count the request.
    DoesNotApply,
    /// The request is refused with this problem.
    Refused(Problem),
}

impl From<Problem> for NoKey {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl<F> RateKey for F
where
    F: Fn(&RequestContext<'_>) -> Result<String, Problem> + Send + Sync + 'static,
{
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        key.part("own", self(request)?);
        Ok(())
    }
}

macro_rules! combination {
    ($($key:ident)+) => {
        impl<$($key: RateKey),+> RateKey for ($($key,)+) {
            #[expect(non_snake_case, reason = "a type's name serves as its value's")]
            fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
                let ($($key,)+) = self;
                $($key.write(request, key)?;)+
                Ok(())
            }

            /// Writes the wider keys of those that have one, and the keys of the others.
            #[expect(non_snake_case, reason = "a type's name serves as its value's")]
            fn write_wider(
                &self,
                request: &RequestContext<'_>,
                key: &mut KeyWriter,
            ) -> Result<Option<NonZeroU32>, NoKey> {
                let ($($key,)+) = self;
                let mut widest = None;
                $(match $key.write_wider(request, key)? {
                    None => $key.write(request, key)?,
                    factor => widest = widest.max(factor),
                })+
                Ok(widest)
            }
        }
    };
}

combination!(A B);
combination!(A B C);
combination!(A B C D);

/// Key that counts each caller: each API key by itself, and other credentials by their principal. It needs [`Authenticate`](crate::authenticate::Authenticate) before it.
#[derive(Clone, Copy, Debug)]
pub struct ByPrincipal;

impl RateKey for ByPrincipal {
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        let principal = request.require::<Principal>()?;
        match principal.key() {
            Some(api_key) => key.id("k", api_key.as_uuid()),
            None => key.id("p", principal.id().as_uuid()),
        }
        Ok(())
    }
}

/// Key that counts each tenant. It does not apply to requests [without a tenant](TenantFree).
///
/// It needs a [`LoadAccess`](crate::load_access::LoadAccess) before it. The requested
/// tenant alone is not enough: callers who are not members could use up the tenant's quota.
pub struct ByTenant<M> {
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> ByTenant<M> {
    /// Creates the key.
    #[must_use]
    pub const fn new() -> Self {
        Self { model: PhantomData }
    }
}

impl<M: AccessModel> RateKey for ByTenant<M> {
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        if request.extensions.get::<TenantFree>().is_some() {
            return Err(NoKey::DoesNotApply);
        }
        key.id("t", loaded_or_recent::<M>(request)?.tenant().as_uuid());
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

/// Key with a prefix, which counts some routes apart from others with the same policy and key:
/// `KeyPrefix("redeem", ClientAddress::direct())`.
#[derive(Clone, Copy, Debug)]
pub struct KeyPrefix<K>(pub &'static str, pub K);

impl<K: RateKey> RateKey for KeyPrefix<K> {
    fn write(&self, request: &RequestContext<'_>, key: &mut KeyWriter) -> Result<(), NoKey> {
        key.part("class", self.0);
        self.1.write(request, key)
    }

    fn write_wider(
        &self,
        request: &RequestContext<'_>,
        key: &mut KeyWriter,
    ) -> Result<Option<NonZeroU32>, NoKey> {
        key.part("class", self.0);
        self.1.write_wider(request, key)
    }
}
