//! Several ways to name a tenant.

use mt_core::id::TenantId;

use super::Resolver;
use crate::guard::View;
use crate::problem::Problem;

/// Asks the first resolver, and the second only if the first has nothing to say.
///
/// A malformed id is not nothing: it refuses the request.
#[derive(Clone, Copy, Debug)]
pub struct FirstOf<A, B>(pub A, pub B);

impl<A: Resolver, B: Resolver> Resolver for FirstOf<A, B> {
    const NEVER_WAITS: bool = A::NEVER_WAITS && B::NEVER_WAITS;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        match self.0.resolve(view).await? {
            Some(tenant) => Ok(Some(tenant)),
            None => self.1.resolve(view).await,
        }
    }
}

/// Asks both resolvers, and refuses a request in which they name two tenants.
///
/// For a tenant that is named in more than one place, as by the host and in the path. Where one has
/// nothing to say the other's word counts; require both with a chain that fails, if that is not wanted.
#[derive(Clone, Copy, Debug)]
pub struct MustAgree<A, B>(pub A, pub B);

impl<A: Resolver, B: Resolver> Resolver for MustAgree<A, B> {
    const NEVER_WAITS: bool = A::NEVER_WAITS && B::NEVER_WAITS;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        match (self.0.resolve(view).await?, self.1.resolve(view).await?) {
            (Some(one), Some(other)) if one != other => Err(Problem::NOT_FOUND),
            (Some(tenant), _) | (None, Some(tenant)) => Ok(Some(tenant)),
            (None, None) => Ok(None),
        }
    }
}
