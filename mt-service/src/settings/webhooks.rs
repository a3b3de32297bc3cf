//! Settings of the webhook workers.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Reader, Setting};

/// Settings of the webhook workers.
#[derive(Clone, Copy, Debug)]
pub struct WebhookConfig {
    /// `WEBHOOK_MAX_ATTEMPTS`: the number of failed attempts after which an event is dead.
    pub max_attempts: NonZeroU32,
    /// `WEBHOOK_BACKOFF_MS`: the delay after the first failed attempt, doubled after each.
    pub backoff: Duration,
    /// `WEBHOOK_LEASE_SECONDS`: the lease of an event, after which another worker may claim it.
    pub lease: Duration,
    /// `WEBHOOK_WORKERS`: the number of concurrent workers in this process.
    pub workers: NonZeroU32,
    /// `WEBHOOK_RETENTION_DAYS`: how long the bodies of finished events are kept; `None`: for ever.
    pub retention: Option<Duration>,
}

impl WebhookConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Self {
        let backoff = r.number("WEBHOOK_BACKOFF_MS", 1000, 1..=3_600_000);
        Self {
            max_attempts: r.count("WEBHOOK_MAX_ATTEMPTS", 10, 1000),
            backoff: Duration::from_millis(backoff.into()),
            lease: r.seconds("WEBHOOK_LEASE_SECONDS", 30, 1..=3600),
            workers: r.count("WEBHOOK_WORKERS", 2, 64),
            retention: r.days("WEBHOOK_RETENTION_DAYS", 90),
        }
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 5] {
        let Self { max_attempts, backoff, lease, workers, retention } = self;
        [
            Setting::new("WEBHOOK_MAX_ATTEMPTS", max_attempts),
            Setting::new("WEBHOOK_BACKOFF_MS", backoff.as_millis()),
            Setting::seconds("WEBHOOK_LEASE_SECONDS", *lease),
            Setting::new("WEBHOOK_WORKERS", workers),
            Setting::days("WEBHOOK_RETENTION_DAYS", *retention),
        ]
    }
}
