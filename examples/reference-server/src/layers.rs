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
use mt_core::pg::api_keys::ApiKeysOr;
use mt_http::Guards;
use mt_service::metrics::{GuardMetrics, LimitMetrics};
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::load_access::LoadAccess;
use mt_tower::observe::{CheckOutcome, ObservedGuard};
use mt_tower::rate_limit::{
    ByPrincipal, ByTenant, ClientAddress, KeyPrefix, QuotaByAccess, RateLimit,
};
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};

use crate::config::{RateLimitConfig, Secret};
use crate::http::caller::ORG_ID;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::model::{Plan, Product};
use crate::strangers::LimitStrangers;

/// The factor by which the quota of a paying plan is larger than that of the free plan.
const PRO_FACTOR: u32 = 10;

/// What callers authenticate with: API keys and access tokens.
pub type Credentials = ApiKeysOr<Arc<JwtAuthenticator>>;

/// The guards, made from the settings.
#[derive(Clone, Debug)]
pub struct Layers {
    credentials: Credentials,
    tenants: Tenants<Product>,
    limiter: Limiter,
    limits: RateLimitConfig,
    guards: GuardMetrics,
    limited: LimitMetrics,
}

impl Layers {
    /// Creates the guards, whose outcomes `metrics` counts.
    #[must_use]
    pub fn new(
        credentials: Credentials,
        tenants: Tenants<Product>,
        limiter: Limiter,
        limits: RateLimitConfig,
        metrics: &Metrics,
    ) -> Self {
        let (guards, limited) = (metrics.guards.clone(), metrics.limits.clone());
        Self { credentials, tenants, limiter, limits, guards, limited }
    }

    /// Returns the guard of routes in an org, the server's own and the ready-made ones.
    #[must_use]
    pub fn in_org(&self) -> Arc<impl Guard + use<>> {
        Arc::new((
            self.authenticate(),
            ResolveTenant::new(PathParam(ORG_ID)),
            self.limits.api_per_minute.map(|_| (self.load_access(), self.limit_in_org())),
            self.bulkhead(),
        ))
    }

    /// Returns the guards of the ready-made endpoints. Those that take a secret are limited by address, each by itself.
    pub(crate) fn of_endpoints(&self, in_org: impl Guard, operators: Option<&Secret>) -> Guards {
        let accept = self.limit_auth("invites-accept");
        let signed_in = || (self.authenticate(), self.limit_outside_orgs(), self.bulkhead());
        let guards = Guards::new(&self.tenants, self.credentials.clone())
            .in_tenant(in_org)
            .signed_in(signed_in())
            .request_link(self.limit_auth("auth-request-link"))
            .redeem(self.limit_auth("auth-redeem"))
            .accept_invite((accept, signed_in()))
            .call_provider(self.limit_billing())
            .webhook(self.limit_webhooks());
        match operators {
            Some(token) => guards.operator_token(token.reveal()),
            None => guards,
        }
    }

    /// Limits webhooks by client address.
    fn limit_webhooks(&self) -> impl Guard + use<> {
        let quota = self.limits.webhooks_per_minute.map(Quota::per_minute);
        let guard = RateLimit::new("webhooks", self.limiter.clone(), self.client(), quota);
        self.count_limit("webhooks", guard, quota)
    }

    /// Limits requests that call Stripe by caller, over all orgs.
    fn limit_billing(&self) -> impl Guard + use<> {
        let quota = self.limits.billing_per_minute.map(Quota::per_minute);
        let key = KeyPrefix("billing", ByPrincipal);
        let guard = RateLimit::new("billing", self.limiter.clone(), key, quota);
        self.count_limit("billing", guard, quota)
    }

    fn authenticate(&self) -> impl Guard + use<> {
        self.count("authenticate", Authenticate::new(self.credentials.clone()))
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
