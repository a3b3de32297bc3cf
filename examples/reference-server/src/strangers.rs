//! A rate limit on requests for orgs that the caller is not a member of.
//!
//! Membership is known only after the database was asked, so a request for an org is counted by principal if
//! the caller is not a member. Once a principal exceeds the limit, its requests are counted before the
//! database is asked, until the limit allows one again.

use mt_core::auth::Principal;
use mt_core::id::PrincipalId;
use mt_tower::problem::Problem;
use mt_tower::{Guard, RequestContext};
use quick_cache::sync::Cache;
use salvo::http::StatusCode;

/// The number of principals over the limit that are remembered. One that is forgotten is counted after the database was
/// asked.
const REMEMBERED: usize = 10_000;

/// Guard that loads access, and limits callers who have none.
pub(crate) struct LimitStrangers<A, L> {
    access: A,
    limit: L,
    over_limit: Cache<PrincipalId, ()>,
}

impl<A: Guard, L: Guard> LimitStrangers<A, L> {
    /// Runs `access`, and `limit` for each request that `access` answers with 404.
    pub(crate) fn new(access: A, limit: L) -> Self {
        Self { access, limit, over_limit: Cache::new(REMEMBERED) }
    }
}

impl<A: Guard, L: Guard> Guard for LimitStrangers<A, L> {
    async fn check<'a>(&'a self, mut request: RequestContext<'a>) -> Result<(), Problem> {
        let principal = request.require::<Principal>()?.id();
        let is_counted = self.over_limit.get(&principal).is_some();
        if is_counted {
            self.limit.check(request.reborrow()).await?;
            self.over_limit.remove(&principal);
        }
        match self.access.check(request.reborrow()).await {
            Err(problem) if problem.status() == StatusCode::NOT_FOUND && !is_counted => {
                let counted = self.limit.check(request).await;
                if counted.is_err() {
                    self.over_limit.insert(principal, ());
                }
                counted.and(Err(problem))
            }
            loaded => loaded,
        }
    }
}
