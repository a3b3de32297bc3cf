//! Which of `mt-tower`'s guards stand before the routes, made once from the settings.
//!
//! ```text
//! rate limit (by address) → authenticate → resolve org → load access (404) → rate limit (by caller and org)
//!     → a seat of the org (503)
//! ```
//!
//! Role and billing are decided where the handler gets its grant, and again in the transaction.

use std::num::NonZeroU32;
use std::sync::Arc;

use mt_core::access::Access;
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::limit::Quota;
use mt_core::pg::TenantPool;
use mt_tower::authenticate::Authenticate;
use mt_tower::load_access::LoadAccess;
use mt_tower::observe::{Decision, Observed, Observer};
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ByPrincipalAndTenant, Class, ClientAddress, QuotaByAccess, RateLimit};
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};
use mt_tower::{Guard, View};
use prometheus_client::metrics::counter::Counter;

use crate::app::App;
use crate::bulkhead::Bulkhead;
use crate::config::RateLimitConfig;
use crate::http::authorized::ORG_ID;
use crate::limits::Limiter;
use crate::metrics::{GuardMetrics, LimitMetrics, Metrics};
use crate::model::{Plan, Product};

/// How many times the free plan's share the paying ones get.
const PRO_FACTOR: u32 = 10;

/// The guards, ready to be put before routes.
#[derive(Clone, Debug)]
pub struct Layers(Option<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    tokens: Arc<JwtAuthenticator>,
    tenants: TenantPool<Product>,
    limiter: Limiter,
    limits: RateLimitConfig,
    bulkhead: Bulkhead,
    decisions: GuardMetrics,
    limited: LimitMetrics,
}

impl Layers {
    /// The guards of `app`, whose decisions `metrics` counts.
    #[must_use]
    pub fn new(
        app: &App,
        limiter: Limiter,
        limits: RateLimitConfig,
        seats: Option<NonZeroU32>,
        metrics: &Metrics,
    ) -> Self {
        Self(Some(Parts {
            tokens: Arc::clone(&app.tokens),
            tenants: app.tenants.clone(),
            limiter,
            limits,
            bulkhead: Bulkhead::new(seats, metrics.org_share_refusals.clone()),
            decisions: metrics.guards.clone(),
            limited: metrics.limits.clone(),
        }))
    }

    /// Guards that let nobody through, for routes that are only looked at.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    pub(crate) fn authenticate(&self) -> impl Guard {
        self.guard(|parts| {
            let guard = Authenticate::new(Arc::clone(&parts.tokens));
            Observed::new("authenticate", guard, parts.decisions.clone())
        })
    }

    /// The seats of the org that access was loaded for.
    pub(crate) fn bulkhead(&self) -> Bulkhead {
        let open = || Bulkhead::new(None, Counter::default());
        self.0.as_ref().map_or_else(open, |parts| parts.bulkhead.clone())
    }

    pub(crate) fn resolve_org() -> impl Guard {
        ResolveTenant::new(PathParam(ORG_ID))
    }

    pub(crate) fn load_access(&self) -> impl Guard {
        self.guard(|parts| {
            let guard = LoadAccess::<Product, _>::new(parts.tenants.clone());
            Observed::new("load_access", guard, parts.decisions.clone())
        })
    }

    /// Per client address, for each auth endpoint by itself.
    pub(crate) fn limit_auth(&self, endpoint: &'static str) -> impl Guard {
        self.guard(move |parts| {
            let quota = parts.limits.auth_per_minute.map(Quota::per_minute);
            let key = Class(endpoint, parts.client());
            let guard = RateLimit::new("auth", parts.limiter.clone(), key, quota);
            parts.watched("auth", guard, quota)
        })
    }

    /// Per client address.
    pub(crate) fn limit_webhooks(&self) -> impl Guard {
        self.guard(|parts| {
            let quota = parts.limits.webhooks_per_minute.map(Quota::per_minute);
            let guard = RateLimit::new("webhooks", parts.limiter.clone(), parts.client(), quota);
            parts.watched("webhooks", guard, quota)
        })
    }

    /// Per caller and org, by the org's plan.
    pub(crate) fn limit_api(&self) -> impl Guard {
        self.guard(|parts| {
            let free = parts.limits.api_per_minute;
            let quota = QuotaByAccess::new(move |access: &Access<Product>| {
                free.map(|free| Quota::per_minute(share(free, access.plan())))
            });
            let guard = RateLimit::new("api", parts.limiter.clone(), ByPrincipalAndTenant, quota);
            parts.watched("api", guard, free.map(Quota::per_minute))
        })
    }

    fn guard<G: Guard>(&self, make: impl FnOnce(&Parts) -> G) -> Door<G> {
        self.0.as_ref().map_or(Door::Closed, |parts| Door::Guarded(make(parts)))
    }
}

impl Parts {
    fn client(&self) -> ClientAddress {
        ClientAddress::behind(self.limits.trusted_proxies.iter().copied())
    }

    /// A limit whose decisions are counted, if it is one.
    fn watched<G: Guard>(
        &self,
        name: &'static str,
        guard: G,
        quota: Option<Quota>,
    ) -> impl Guard + use<G> {
        let metrics = quota.map(|_| self.limited.clone());
        Observed::new(name, guard, move |decision: &Decision<'_>| {
            if let Some(metrics) = &metrics {
                Observer::decided(metrics, decision);
            }
        })
    }
}

/// Where there is no guard, nobody gets through.
enum Door<G> {
    Guarded(G),
    Closed,
}

impl<G: Guard> Guard for Door<G> {
    const NEVER_WAITS: bool = G::NEVER_WAITS;

    async fn check(&self, view: View<'_>) -> Result<(), Problem> {
        match self {
            Self::Guarded(guard) => guard.check(view).await,
            Self::Closed => Err(Problem::unavailable()),
        }
    }
}

/// What a plan's members get of a quota that is said for the free plan.
fn share(free: NonZeroU32, plan: Plan) -> NonZeroU32 {
    match plan {
        Plan::Free => free,
        Plan::Pro => free.saturating_mul(NonZeroU32::MIN.saturating_add(PRO_FACTOR - 1)),
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
