//! The guards that are measured, none of which does any I/O.

use std::num::NonZeroU32;

use mt_core::access::{Access, AccessError, AccessSource, Facts};
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::load_access::LoadAccess;
use mt_tower::rate_limit::{ByPrincipal, ByTenant, RateLimit};
use mt_tower::require::Require;
use mt_tower::resolve_tenant::{PathTemplate, ResolveTenant};
use reference_server::model::{Plan, Product, Role, TasksCreate};

/// The token that [`authenticate`] knows.
pub const TOKEN: &str = "token";

/// Knows one token. What a JWT costs is counted apart, in `decisions`.
#[derive(Debug)]
pub struct OneToken(Principal);

impl Authenticator for OneToken {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        match credential {
            TOKEN => Ok(self.0),
            _ => Err(AuthError::Invalid("unknown".to_owned())),
        }
    }
}

/// Knows everybody as a member in good standing.
#[derive(Clone, Copy, Debug)]
pub struct Everybody;

impl AccessSource<Product> for Everybody {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Product>, AccessError> {
        let facts = Facts::new(Role::Member, Plan::Pro, Standing::Good);
        Ok(Access::assertion(tenant, principal, facts))
    }
}

/// Finds out who is calling.
pub fn authenticate() -> Authenticate<OneToken> {
    Authenticate::new(OneToken(Principal::new(PrincipalId::generate())))
}

/// Finds the tenant in `/orgs/{tenant}`.
///
/// # Panics
///
/// Never.
pub fn resolve() -> ResolveTenant<PathTemplate> {
    ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").expect("it names the tenant"))
}

/// Loads access.
pub fn load() -> LoadAccess<Product, Everybody> {
    LoadAccess::new(Everybody)
}

/// Counts in the process, and never refuses.
pub fn limit() -> RateLimit<InProcessLimiter, (ByPrincipal, ByTenant<Product>), Quota> {
    let quota = Quota::per_minute(NonZeroU32::MAX);
    RateLimit::new("api", InProcessLimiter::new(), (ByPrincipal, ByTenant::new()), quota)
}

/// Requires a permission that changes something, and that the tenant pays.
pub fn require() -> Require<TasksCreate> {
    Require::new()
}

/// All of them, as one guard.
#[must_use]
pub fn all() -> impl Guard {
    (authenticate(), resolve(), load(), limit(), require())
}
