//! Which limiter counts, and the one limit that needs a body to know its key.

use std::sync::Arc;

use mt_core::email::EmailAddress;
use mt_core::limit::{InProcessLimiter, NotCounted, Quota, RateLimiter, StoreLimiter, Verdict};
use mt_core::redis::{RedisStore, RedisUrlError};
use salvo::http::HeaderValue;
use salvo::http::header::RETRY_AFTER;

use crate::config::RateLimitConfig;
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
    to_one_address: Option<Quota>,
    to_all: Option<Quota>,
    decisions: LimitMetrics,
}

impl Limits {
    /// Counts with `limiter` as `config` says. `decisions` counts what comes of it.
    #[must_use]
    pub fn new(limiter: Limiter, config: &RateLimitConfig, decisions: LimitMetrics) -> Self {
        Self {
            limiter,
            to_one_address: config.email_per_hour.map(Quota::per_hour),
            to_all: config.links_per_minute.map(Quota::per_minute),
            decisions,
        }
    }

    /// Counts a link to `email`. One that its address may not have takes nothing from the others.
    pub(crate) async fn link(&self, email: &EmailAddress) -> Result<(), ApiError> {
        // The limiter hashes its keys where they leave the process.
        let key = format!("email:{}", email.as_str());
        self.count("email", &key, self.to_one_address).await?;
        self.count("links", "links", self.to_all).await
    }

    async fn count(
        &self,
        name: &'static str,
        key: &str,
        quota: Option<Quota>,
    ) -> Result<(), ApiError> {
        let Some(quota) = quota else { return Ok(()) };
        let verdict = self
            .limiter
            .check(key, quota)
            .await
            .map_err(|NotCounted| ApiError::new(&problems::UNAVAILABLE))?;
        self.decisions.decided(name, verdict.allowed);
        if verdict.allowed {
            return Ok(());
        }
        let wait = verdict.retry_after.as_secs().max(1);
        Err(ApiError::new(&problems::RATE_LIMITED).header(RETRY_AFTER, HeaderValue::from(wait)))
    }
}
