//! The rate limiter of the server, and the limits on emails.

use std::sync::Arc;

use mt_core::limit::{Decision, InProcessLimiter, NotCounted, Quota, RateLimiter, StoreLimiter};
use mt_core::redis::{RedisStore, RedisUrlError};
use mt_mail::{MailLimits, MailQuotas};
use mt_service::metrics::LimitMetrics;

use crate::config::RateLimitConfig;
use crate::layers::plan_factor;

/// The rate limiter: in Redis, with a fallback to this process while Redis is down; or in this process only.
#[derive(Clone)]
pub enum Limiter {
    /// Counts in Redis, for all replicas together.
    Redis(Arc<StoreLimiter<RedisStore>>),
    /// Counts in this process, for one replica.
    InProcess(Arc<InProcessLimiter>),
}

impl Limiter {
    /// Creates a limiter that counts in the Redis at `url`. It connects at the first request.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] when `url` is not a valid Redis URL.
    pub fn redis(url: &str) -> Result<Self, RedisUrlError> {
        Ok(Self::Redis(Arc::new(StoreLimiter::new(RedisStore::lazy(url)?))))
    }

    /// Creates a limiter that counts in this process.
    #[must_use]
    pub fn in_process() -> Self {
        Self::InProcess(Arc::new(InProcessLimiter::new()))
    }
}

impl Limiter {
    /// Returns whether Redis responds to a ping; always true for an in-process limiter.
    pub async fn is_reachable(&self) -> bool {
        match self {
            Self::Redis(limiter) => limiter.store().ping().await.is_ok(),
            Self::InProcess(_) => true,
        }
    }
}

impl RateLimiter for Limiter {
    async fn check(&self, key: &str, quota: Quota) -> Result<Decision, NotCounted> {
        match self {
            Self::Redis(limiter) => limiter.check(key, quota).await,
            Self::InProcess(limiter) => limiter.check(key, quota).await,
        }
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redis(_) => "Redis",
            Self::InProcess(_) => "InProcess",
        })
    }
}

/// Creates the limits of `config` on emails, which count with `limiter`. `decisions` are the metrics of the decisions.
#[must_use]
pub(crate) fn mail_limits(
    limiter: Limiter,
    config: &RateLimitConfig,
    decisions: LimitMetrics,
) -> MailLimits<Limiter> {
    let quotas = MailQuotas {
        to_one_recipient: config.email_per_hour,
        by_one_sender: config.invites_per_hour,
        in_all: config.links_per_minute,
    };
    MailLimits::new(limiter, quotas)
        .with_plan_factor(plan_factor)
        .with_observer(move |limit, allowed| decisions.record(limit, allowed))
}
