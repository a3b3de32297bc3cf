//! The tenant that the credential is bound to.

use mt_core::auth::Principal;
use mt_core::id::TenantId;

use super::Resolver;
use crate::guard::RequestContext;
use crate::problem::Problem;

/// Resolver for the tenant that the caller's credential is bound to: the claim of a token
/// (`JwtConfig::with_tenant_claim`), or the tenant of an API key ([`Principal::bound_to`]).
///
/// It needs [`Authenticate`](crate::authenticate::Authenticate) before it. It finds nothing if there is
/// no principal, or if its credential is not bound.
///
/// A bound credential is good for its tenant only, whichever resolver finds the tenant:
/// The transaction checks that, or [`LoadAccess`](crate::load_access::LoadAccess) where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantClaim;

impl Resolver for TenantClaim {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        Ok(request.extensions.get::<Principal>().and_then(|principal| principal.tenant()))
    }
}
