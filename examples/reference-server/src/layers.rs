//! The guards of `mt-tower` before the routes, made once from the settings.
//!
//! ```text
//! authenticate → resolve org → rate limit (by caller and org) → bulkhead (503)
//! authenticate → rate limit (by caller) → bulkhead (503)           outside of orgs
//! rate limit (by address)                                          without a token
//! ```
//!
//! Each row is one guard, a tuple. Membership, role and billing are checked by the handler's transaction.
//!
//! With a rate limit in orgs, the plan and the membership have to be known before the transaction. They are those of the
//! caller's last transaction; access is loaded for a caller who had none in this process. Requests for orgs that the
//! caller is not a member of count as requests outside of orgs.

use std::num::NonZeroU32;
use std::sync::Arc;

use mt_core::access::Access;
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::limit::Quota;
use mt_core::pg::Tenants;
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::load_access::LoadAccess;
use mt_tower::observe::{CheckOutcome, ObservedGuard};
use mt_tower::rate_limit::{
    ByPrincipal, ByTenant, ClientAddress, KeyPrefix, QuotaByAccess, RateLimit,
};
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};

use crate::app::App;
use crate::config::RateLimitConfig;
use crate::http::caller::ORG_ID;
use crate::http::guard::{ApiGuard, guard_handler};
use crate::limits::Limiter;
use crate::metrics::{GuardMetrics, LimitMetrics, Metrics};
use crate::model::{Plan, Product};
use crate::strangers::LimitStrangers;

/// The factor by which the quota of a paying plan is larger than that of the free plan.
const PRO_FACTOR: u32 = 10;

/// The guards, ready to be put before routes.
#[derive(Clone, Debug)]
pub struct Layers(Option<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    tokens: Arc<JwtAuthenticator>,
    tenants: Tenants<Product>,
    limiter: Limiter,
    limits: RateLimitConfig,
    guards: GuardMetrics,
    limited: LimitMetrics,
}

impl Layers {
    /// Creates the guards of `app`, whose outcomes `metrics` counts.
    #[must_use]
    pub fn new(app: &App, limiter: Limiter, limits: RateLimitConfig, metrics: &Metrics) -> Self {
        Self(Some(Parts {
            tokens: Arc::clone(&app.tokens),
            tenants: app.tenants.clone(),
            limiter,
            limits,
            guards: metrics.guards.clone(),
            limited: metrics.limits.clone(),
        }))
    }

    /// Creates guards that refuse every request, for routes that are described and not served.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    /// The guard of routes in an org.
    pub(crate) fn in_org(&self) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| {
            (
                parts.authenticate(),
                ResolveTenant::new(PathParam(ORG_ID)),
                parts.limits.api_per_minute.map(|_| (parts.load_access(), parts.limit_in_org())),
                parts.bulkhead(),
            )
        })
    }

    /// The guard of routes of a user, outside of orgs.
    pub(crate) fn outside_orgs(&self) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| (parts.authenticate(), parts.limit_outside_orgs(), parts.bulkhead()))
    }

    /// The guard of the route that accepts an invite: it is limited by address before the token is read.
    pub(crate) fn accept_invite(&self) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| {
            let limit = parts.limit_auth("invites-accept");
            (limit, parts.authenticate(), parts.limit_outside_orgs(), parts.bulkhead())
        })
    }

    /// Limits an auth endpoint by client address. Each endpoint counts by itself.
    pub(crate) fn limit_auth(&self, endpoint: &'static str) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| parts.limit_auth(endpoint))
    }

    /// Limits webhooks by client address.
    pub(crate) fn limit_webhooks(&self) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| {
            let quota = parts.limits.webhooks_per_minute.map(Quota::per_minute);
            let guard = RateLimit::new("webhooks", parts.limiter.clone(), parts.client(), quota);
            parts.count_limit("webhooks", guard, quota)
        })
    }

    /// Limits requests that call Stripe by caller, over all orgs.
    pub(crate) fn limit_billing(&self) -> ApiGuard<impl Guard + use<>> {
        self.guard(|parts| {
            let quota = parts.limits.billing_per_minute.map(Quota::per_minute);
            let key = KeyPrefix("billing", ByPrincipal);
            let guard = RateLimit::new("billing", parts.limiter.clone(), key, quota);
            parts.count_limit("billing", guard, quota)
        })
    }

    fn guard<G: Guard>(&self, make: impl FnOnce(&Parts) -> G) -> ApiGuard<G> {
        guard_handler(self.0.as_ref().map(make))
    }
}

impl Parts {
    fn authenticate(&self) -> impl Guard + use<> {
        self.count("authenticate", Authenticate::new(Arc::clone(&self.tokens)))
    }

    fn load_access(&self) -> impl Guard + use<> {
        let guard = LoadAccess::<Product, _>::new(self.tenants.clone()).or_recent();
        LimitStrangers::new(self.count("load_access", guard), self.limit_outside_orgs())
    }

    /// Refuses if the share of the org is used up, or outside of orgs that of the caller.
    fn bulkhead(&self) -> impl Guard + use<> {
        let shares = self.tenants.shares().clone();
        self.count("bulkhead", Bulkhead::<Product, _>::new(shares, self.tenants.clone()))
    }

    /// Limits each caller in each org, by the org's plan.
    fn limit_in_org(&self) -> impl Guard + use<> {
        let free = self.limits.api_per_minute;
        let quota = QuotaByAccess::new(move |access: &Access<Product>| {
            free.map(|free| Quota::per_minute(share(free, access.plan())))
        });
        let key = (ByPrincipal, ByTenant::<Product>::new());
        let guard = RateLimit::new("api", self.limiter.clone(), key, quota);
        self.count_limit("api", guard, free.map(Quota::per_minute))
    }

    fn limit_outside_orgs(&self) -> impl Guard + use<> {
        let quota = self.limits.api_per_minute.map(Quota::per_minute);
        let guard = RateLimit::new("api", self.limiter.clone(), ByPrincipal, quota);
        self.count_limit("outside_orgs", guard, quota)
    }

    fn limit_auth(&self, endpoint: &'static str) -> impl Guard + use<> {
        let quota = self.limits.auth_per_minute.map(Quota::per_minute);
        let key = KeyPrefix(endpoint, self.client());
        let guard = RateLimit::new("auth", self.limiter.clone(), key, quota);
        self.count_limit("auth", guard, quota)
    }

    fn client(&self) -> ClientAddress {
        ClientAddress::behind(self.limits.trusted_proxies.iter().copied())
    }

    /// Counts the outcomes of `guard`, and measures how long they take.
    fn count<G: Guard>(&self, name: &'static str, guard: G) -> impl Guard + use<G> {
        let metrics = self.guards.clone();
        ObservedGuard::new(name, guard, move |outcome: &CheckOutcome<'_>| metrics.record(outcome))
    }

    /// Counts the outcomes of a limit, unless it is switched off.
    fn count_limit<G: Guard>(
        &self,
        name: &'static str,
        guard: G,
        quota: Option<Quota>,
    ) -> impl Guard + use<G> {
        let metrics = quota.map(|_| self.limited.clone());
        ObservedGuard::new(name, guard, move |outcome: &CheckOutcome<'_>| {
            if let Some(metrics) = &metrics {
                metrics.record(outcome.guard, outcome.problem.is_none());
            }
        })
    }
}

/// Returns the quota of a plan's members, from that of the free plan.
fn share(free: NonZeroU32, plan: Plan) -> NonZeroU32 {
    free.saturating_mul(plan_factor(plan))
}

/// Returns the factor by which the quotas of `plan` are larger than those of the free plan.
pub(crate) fn plan_factor(plan: Plan) -> NonZeroU32 {
    match plan {
        Plan::Free => NonZeroU32::MIN,
        Plan::Pro => NonZeroU32::MIN.saturating_add(PRO_FACTOR - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pro_gets_ten_times_as_much_and_never_wraps() {
        let of = |free| share(NonZeroU32::new(free).unwrap(), Plan::Pro).get();
        assert_eq!(of(7), 70);
        assert_eq!(of(u32::MAX), u32::MAX);
        assert_eq!(share(NonZeroU32::MIN, Plan::Free), NonZeroU32::MIN);
    }
}
