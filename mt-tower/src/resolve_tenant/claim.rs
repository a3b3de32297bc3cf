//! The tenant that the credential is bound to.

use mt_core::auth::Principal;
use mt_core::id::TenantId;

use super::Resolver;
use crate::guard::View;
use crate::problem::Problem;

/// The tenant that the caller's credential is bound to: the claim of a token
/// (`JwtConfig::with_tenant_claim`), or the tenant that an API key belongs to
/// ([`Principal::bound_to`]).
///
/// It needs [`Authenticate`](crate::authenticate::Authenticate) before it. Where there is no principal,
/// or its credential is not bound, it has nothing to say.
///
/// A bound credential is good for its tenant and no other, wherever the tenant is read from:
/// [`LoadAccess`](crate::load_access::LoadAccess) and the transaction see to that.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantClaim;

impl Resolver for TenantClaim {
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        Ok(view.extensions.get::<Principal>().and_then(|principal| principal.tenant()))
    }
}
