//! Limits how often a client may do something.
//!
//! [`RateLimit`] makes a key of each request, counts it with a [`RateLimiter`] of `mt-core`, and
//! says in the answer where the client stands.
//!
//! | key | counts apart |
//! | --- | --- |
//! | [`ClientAddress`] | client addresses, IPv6 by network |
//! | [`ByPrincipal`] | callers |
//! | [`ByPrincipalAndTenant`] | callers, in each tenant |
//! | [`ByTenant`] | tenants, for members only |
//! | [`Class`] | one of these keys in several places |
//! | a tuple of keys | whatever one of them does |
//! | a closure `Fn(&View<'_>) -> Result<String, Problem>` | whatever it likes |
//!
//! The quota is a [`Quota`], an `Option<Quota>` (none is no limit), a closure, or
//! [`QuotaByAccess`] to go by the tenant's plan.
//!
//! # Answers
//!
//! Every answer of a limited route, allowed or not, carries the fields of
//! draft-ietf-httpapi-ratelimit-headers-10:
//!
//! ```text
//! RateLimit-Policy: "login";q=20;w=60
//! RateLimit: "login";r=19;t=42
//! ```
//!
//! With several limits on one route each adds its own, as members of one list.
//!
//! # When it refuses
//!
//! * 429 `rate-limited` with `Retry-After` beyond the quota;
//! * 503 `unavailable` when it cannot be counted and the limiter refuses then;
//! * 500 `internal` when what the key or the quota asks for is missing from the extensions.
//!
//! A limit by tenant does not apply to routes that are declared
//! [tenant-free](crate::resolve_tenant::TenantFree).
//!
//! What happens while the counter's store is away is the limiter's business: see `StoreLimiter` in
//! `mt_core::limit`.
//!
//! # Deployment
//!
//! Limit by address before authenticating, because refused credentials cost something too, and by
//! principal after. The policy's name is part of the key, so two layers of one name share counts
//! when their keys are equal; give each route of its own quota its own name or [`Class`].
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

#[cfg(doc)]
use mt_core::limit::Quota;
use mt_core::limit::{NotCounted, RateLimiter};

pub use self::client_address::{ClientAddress, PeerAddr};
use self::fields::{POLICY, Policies, RATE_LIMIT, rate_limit_value};
pub use self::key::{ByPrincipal, ByPrincipalAndTenant, ByTenant, Class, NoKey, RateKey};
pub use self::key_writer::KeyWriter;
pub use self::quota::{QuotaByAccess, QuotaSource};
use crate::guard::{Guard, View};
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
    /// Holds each `key` to `quota`, under a policy called `name`.
    ///
    /// # Panics
    ///
    /// When `name` is empty or has other characters than ASCII letters, digits, `-` and `_`.
    pub fn new(name: &'static str, limiter: L, key: K, quota: Q) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        assert!(!name.is_empty() && name.bytes().all(plain), "`{name}` cannot name a policy");
        Self { name, limiter, key, quota, policies: Arc::default() }
    }
}

impl<L: RateLimiter, K: RateKey, Q: QuotaSource> Guard for RateLimit<L, K, Q> {
    const NEVER_WAITS: bool = L::NEVER_WAITS;

    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        let Some(quota) = self.quota.quota(&view)? else { return Ok(()) };
        let mut key = KeyWriter::new(self.name);
        match self.key.write(&view, &mut key) {
            Ok(()) => {}
            Err(NoKey::DoesNotApply) => return Ok(()),
            Err(NoKey::Refused(problem)) => return Err(problem),
        }
        let verdict = self.limiter.check(key.as_str(), quota).await;
        let verdict = verdict.map_err(|NotCounted| Problem::unavailable())?;
        view.answer.add(POLICY, self.policies.value(self.name, quota));
        view.answer.add(RATE_LIMIT, rate_limit_value(self.name, verdict));
        match verdict.allowed {
            true => Ok(()),
            false => Err(Problem::rate_limited(verdict.retry_after)),
        }
    }
}

impl<L, K, Q> fmt::Debug for RateLimit<L, K, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).finish_non_exhaustive()
    }
}
