//! Limits the rate of requests.
//!
//! [`RateLimit`] makes a key of each request, counts it with a [`RateLimiter`] of `mt-core`, and adds
//! the state of the limit to the response.
//!
//! | key | a quota for each |
//! | --- | --- |
//! | [`ClientAddress`] | client address, IPv6 by network |
//! | [`ByPrincipal`] | caller |
//! | [`ByTenant`] | tenant; members only |
//! | [`KeyPrefix`] | value of the key behind it, for some routes |
//! | a tuple of keys | combination of their values |
//! | a closure `Fn(&RequestContext<'_>) -> Result<String, Problem>` | text that it returns |
//!
//! The quota is a [`Quota`], an `Option<Quota>` (`None` means no limit), a closure, or
//! [`QuotaByAccess`] to go by the tenant's plan.
//!
//! # Answers
//!
//! Every response of a limited route, allowed or not, has the fields of
//! draft-ietf-httpapi-ratelimit-headers-10:
//!
//! ```text
//! RateLimit-Policy: "login";q=20;w=60
//! RateLimit: "login";r=19;t=42
//! ```
//!
//! With several limits on one route each adds its own, as members of one list. A limit that counts a request under a
//! wider key as well, as [`ClientAddress`] counts the /48 of an IPv6 client, adds a member `"login-site"` where that key
//! is beyond its quota.
//!
//! # When it refuses
//!
//! * 429 `rate-limited` with `Retry-After` beyond the quota;
//! * 503 `unavailable` if the request cannot be counted and the limiter is set to refuse then;
//! * 500 `internal` if an extension that the key or the quota needs is missing.
//!
//! A limit by tenant does not apply to routes that are declared
//! [tenant-free](crate::resolve_tenant::TenantFree).
//!
//! The limiter decides what happens while its store is away: see `StoreLimiter` in `mt_core::limit`.
//!
//! # Deployment
//!
//! Limit by address before authenticating, because refused credentials cost something too, and by
//! principal after. The policy's name is part of the key, so two layers of one name share counts
//! when their keys are equal; give each route of its own quota its own name or a [`KeyPrefix`].
//!
//! # Example
//!
//! ```
//! use std::num::NonZeroU32;
//! use mt_core::limit::{InProcessLimiter, Quota};
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::rate_limit::{ClientAddress, RateLimit};
//!
//! let twenty = Quota::per_minute(NonZeroU32::new(20).unwrap());
//! let behind_proxies = ClientAddress::behind(["10.0.0.0/8".parse().unwrap()]);
//! let layer = GuardLayer::new(RateLimit::new(
//!     "login",
//!     InProcessLimiter::new(),
//!     behind_proxies,
//!     twenty,
//! ));
//! ```

mod client_address;
mod fields;
mod forwarded;
mod key;
mod key_writer;
mod quota;

use std::fmt;
use std::sync::Arc;

use mt_core::limit::{NotCounted, Quota, RateLimiter};

pub use self::client_address::{ClientAddress, PeerAddr};
pub use self::fields::limit_fields;
use self::fields::{POLICY, Policies, RATE_LIMIT, is_plain, rate_limit_value};
pub use self::key::{ByPrincipal, ByTenant, KeyPrefix, NoKey, RateKey};
pub use self::key_writer::KeyWriter;
pub use self::quota::{QuotaByAccess, QuotaSource};
use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;

/// Guard that limits rates.
///
/// See the [module docs](self) for when it refuses and an example.
#[derive(Clone)]
#[must_use]
pub struct RateLimit<L, K, Q> {
    // INVARIANT: fit for a quoted string of RFC 9651 without escapes.
    name: &'static str,
    limiter: L,
    key: K,
    quota: Q,
    policies: Arc<Policies>,
}

impl<L: RateLimiter, K: RateKey, Q: QuotaSource> RateLimit<L, K, Q> {
    /// Limits each `key` to `quota`, under a policy called `name`.
    ///
    /// # Panics
    ///
    /// If `name` is empty or has other characters than ASCII letters, digits, `-` and `_`.
    pub fn new(name: &'static str, limiter: L, key: K, quota: Q) -> Self {
        assert!(is_plain(name), "`{name}` cannot name a policy");
        Self { name, limiter, key, quota, policies: Arc::default() }
    }
}

impl<L: RateLimiter, K: RateKey, Q: QuotaSource> Guard for RateLimit<L, K, Q> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let Some(quota) = self.quota.quota(&request)? else { return Ok(()) };
        let mut key = KeyWriter::new(self.name);
        match self.key.write(&request, &mut key) {
            Ok(()) => {}
            Err(NoKey::DoesNotApply) => return Ok(()),
            Err(NoKey::Refused(problem)) => return Err(problem),
        }
        let decision = self.limiter.check(key.as_str(), quota).await;
        let decision = decision.map_err(|NotCounted| Problem::unavailable())?;
        request.response_headers.append(POLICY, self.policies.value(self.name, quota));
        request.response_headers.append(RATE_LIMIT, rate_limit_value(self.name, decision));
        if !decision.allowed {
            return Err(Problem::rate_limited(decision.retry_after));
        }
        self.check_wider(request, quota).await
    }
}

impl<L: RateLimiter, K: RateKey, Q: QuotaSource> RateLimit<L, K, Q> {
    /// Counts the request under its wider key, if it has one. The response has its fields only if that refuses.
    async fn check_wider(&self, request: RequestContext<'_>, quota: Quota) -> Result<(), Problem> {
        let mut key = KeyWriter::new(self.name);
        let factor = match self.key.write_wider(&request, &mut key) {
            Ok(Some(factor)) => factor,
            Ok(None) | Err(NoKey::DoesNotApply) => return Ok(()),
            Err(NoKey::Refused(problem)) => return Err(problem),
        };
        let quota = Quota { limit: quota.limit.saturating_mul(factor), ..quota };
        let decision = self.limiter.check(key.as_str(), quota).await;
        let decision = decision.map_err(|NotCounted| Problem::unavailable())?;
        if decision.allowed {
            return Ok(());
        }
        let name = format!("{}-site", self.name);
        for (name, value) in limit_fields(&name, quota, decision) {
            request.response_headers.append(name, value);
        }
        Err(Problem::rate_limited(decision.retry_after))
    }
}

impl<L, K, Q> fmt::Debug for RateLimit<L, K, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).finish_non_exhaustive()
    }
}
