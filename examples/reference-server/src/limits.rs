//! Which limiter counts, and the one limit that needs a body to know its key.

use std::num::NonZeroU32;
use std::sync::Arc;

use mt_core::email::EmailAddress;
use mt_core::limit::{InProcessLimiter, NotCounted, Quota, RateLimiter, StoreLimiter, Verdict};
use mt_core::redis::{RedisStore, RedisUrlError};
use salvo::http::HeaderValue;
use salvo::http::header::RETRY_AFTER;

use crate::http::problem::ApiError;
use crate::http::problems;
use crate::metrics::LimitMetrics;

/// Counts in Redis, and while that is away in this process; or without a Redis in this process alone.
#[derive(Clone)]
pub enum Limiter {
    /// Shared by all replicas.
    Redis(Arc<StoreLimiter<RedisStore>>),
    /// For one replica.
    InProcess(Arc<InProcessLimiter>),
}

impl Limiter {
    /// Counts in the Redis at `url`, connecting at the first request.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`].
    pub fn redis(url: &str) -> Result<Self, RedisUrlError> {
        Ok(Self::Redis(Arc::new(StoreLimiter::new(RedisStore::lazy(url)?))))
    }

    /// Counts here.
    #[must_use]
    pub fn in_process() -> Self {
        Self::InProcess(Arc::new(InProcessLimiter::new()))
    }
}

impl Limiter {
    /// Whether the store answers; an in-process one always does.
    pub async fn is_reachable(&self) -> bool {
        match self {
            Self::Redis(limiter) => limiter.store().ping().await.is_ok(),
            Self::InProcess(_) => true,
        }
    }
}

impl RateLimiter for Limiter {
    async fn check(&self, key: &str, quota: Quota) -> Result<Verdict, NotCounted> {
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

/// Limits that a handler asks for itself, because their key is in the body.
#[derive(Clone, Debug)]
pub struct Limits {
    limiter: Limiter,
    emails_per_hour: Option<NonZeroU32>,
    decisions: LimitMetrics,
}

impl Limits {
    /// At most `emails_per_hour` links to one address; `None` for no limit. `decisions` counts them.
    #[must_use]
    pub const fn new(
        limiter: Limiter,
        emails_per_hour: Option<NonZeroU32>,
        decisions: LimitMetrics,
    ) -> Self {
        Self { limiter, emails_per_hour, decisions }
    }

    /// Counts a link to `email`.
    pub(crate) async fn email(&self, email: &EmailAddress) -> Result<(), ApiError> {
        let Some(limit) = self.emails_per_hour else { return Ok(()) };
        // The limiter hashes its keys where they leave the process.
        let key = format!("email:{}", email.as_str());
        let verdict = self
            .limiter
            .check(&key, Quota::per_hour(limit))
            .await
            .map_err(|NotCounted| ApiError::new(&problems::UNAVAILABLE))?;
        self.decisions.decided("email", verdict.allowed);
        if verdict.allowed {
            return Ok(());
        }
        let wait = verdict.retry_after.as_secs().max(1);
        Err(ApiError::new(&problems::RATE_LIMITED).header(RETRY_AFTER, HeaderValue::from(wait)))
    }
}
