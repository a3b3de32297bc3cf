//! Metrics that are read when the page is rendered.

use std::fmt::{self, Error};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mt_core::pg::Database;
use mt_core::pg::PgError;
use mt_core::pg::jobs::{self, JobBacklog, JobStats};
use mt_core::pg::ledger::outbox::{OutboxBacklog, OutboxStats, backlog};
use mt_core::pg::ledger::{Backlog, Ledger, Provider};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The sources of these metrics.
pub struct Sources<P> {
    /// The pool of connections.
    pub database: Database,
    /// Returns how often the store of the rate limiter has failed; zeros for a limiter in the process.
    pub limiter: Box<dyn Fn() -> LimiterFailures + Send + Sync>,
    /// The ledger of webhook events.
    pub ledger: Ledger<P>,
    /// What this process has done with messages of the outbox.
    pub mail: OutboxStats,
    /// What this process has done with jobs; [`JobStats::default`] if it runs none.
    pub jobs: JobStats,
}

/// How often the store of a rate limiter has failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimiterFailures {
    /// Calls that have failed or taken too long.
    pub calls: u64,
    /// Requests that were counted in the process instead.
    pub fallbacks: u64,
}

/// How often the backlogs of the ledger, the outbox and jobs are read, and how long each may take.
const EVERY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_millis(500);

/// The backlogs of the ledger, the outbox and jobs, a few seconds old at most. The page may be public, so rendering it often
/// must not load the database.
pub(super) struct Backlogs<P> {
    ledger: Ledger<P>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    asked: Option<Instant>,
    ledger: Option<Backlog>,
    outbox: Option<OutboxBacklog>,
    jobs: Option<JobBacklog>,
}

impl<P: Provider> Backlogs<P> {
    pub(super) fn new(ledger: Ledger<P>) -> Self {
        Self { ledger, last: Mutex::default() }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        // Nothing is done under it that may panic.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn refresh(&self) {
        {
            let mut last = self.last();
            if last.asked.is_some_and(|asked| asked.elapsed() < EVERY) {
                return;
            }
            // Set first, so that of several readers at once only one asks.
            last.asked = Some(Instant::now());
        }
        let ledger = found("the ledger", self.ledger.backlog()).await;
        let outbox = found("the outbox", backlog(self.ledger.system())).await;
        let jobs = found("jobs", jobs::backlog(self.ledger.system())).await;
        let mut last = self.last();
        (last.ledger, last.outbox, last.jobs) = (ledger, outbox, jobs);
    }
}

/// Returns the answer of the database, if it comes in time.
async fn found<T>(of: &str, asking: impl Future<Output = Result<T, PgError>>) -> Option<T> {
    match tokio::time::timeout(TIMEOUT, asking).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::warn!(cause = std::error::Error::source(&error), "{of}: {error}");
            None
        }
        Err(_elapsed) => None,
    }
}

/// See the [module docs](self).
pub(super) struct Scraped<P> {
    sources: Sources<P>,
    noun: &'static str,
    backlogs: Arc<Backlogs<P>>,
}

impl<P: Provider> Scraped<P> {
    pub(super) const fn new(
        sources: Sources<P>,
        noun: &'static str,
        backlogs: Arc<Backlogs<P>>,
    ) -> Self {
        Self { sources, noun, backlogs }
    }

    fn pool(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let stats = self.sources.database.pool_stats();
        let used = stats.size.saturating_sub(stats.idle);
        let states = [("idle", stats.idle.into()), ("used", used.into())];
        gauges(encoder, "db_pool_connections", "Connections to Postgres", "state", &states)?;
        gauge(encoder, "db_pool_max_connections", "The most there may be", stats.max.into())?;
        gauge(encoder, "db_pool_waiting", "Requests that wait for a connection", stats.waiting)?;
        count(encoder, "db_pool_acquired", "Connections that were handed out", stats.acquired)?;
        count(encoder, "db_pool_failed", "Waits that ended without a connection", stats.failed)?;
        let refused = self.sources.database.shares().stats().refused;
        let noun = self.noun;
        let help = format!(
            "Requests that were refused because their {noun} or caller had its share of the connections"
        );
        count(encoder, &format!("{noun}_share_refusals"), &help, refused)?;
        let waited = ConstCounter::new(stats.waited.as_secs_f64());
        let help = "How long all requests have waited for connections";
        let waits =
            encoder.encode_descriptor("db_pool_wait_seconds", help, None, MetricType::Counter)?;
        waited.encode(waits)
    }

    fn limiter(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let LimiterFailures { calls, fallbacks } = (self.sources.limiter)();
        let help = "Calls to Redis that have failed or taken too long";
        count(encoder, "limiter_store_failures", help, calls)?;
        let help = "Requests that were counted in the process because Redis was away";
        count(encoder, "limiter_fallback", help, fallbacks)
    }

    fn ledger(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let stats = self.sources.ledger.stats();
        let fresh = stats.deliveries.saturating_sub(stats.duplicates);
        let kinds = [("new", fresh), ("duplicate", stats.duplicates)];
        let help = "Webhooks that were stored";
        counts(encoder, "webhook_deliveries", help, "kind", &kinds)?;
        let outcomes = [
            ("processed", stats.processed),
            ("ignored", stats.ignored),
            ("failed", stats.failed),
            ("dead", stats.dead),
            ("lost", stats.lost),
        ];
        let help = "Attempts at webhook events, by what came of them";
        counts(encoder, "webhook_attempts", help, "outcome", &outcomes)?;
        let found = self.backlogs.last().ledger;
        let help = "Whether the database told what waits in the ledger";
        gauge(encoder, "webhook_backlog_known", help, found.is_some().into())?;
        // An unknown value is left out: a zero would look healthy.
        let Some(backlog) = found else { return Ok(()) };
        gauge(encoder, "webhook_due", "Events that are due, up to 10 000", backlog.due)?;
        gauge(encoder, "webhook_dead", "Events that were given up, up to 10 000", backlog.dead)?;
        let help = "How long the first of the events that are due has been";
        let overdue =
            encoder.encode_descriptor("webhook_overdue_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(backlog.overdue.as_secs_f64()).encode(overdue)
    }

    fn outbox(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Attempts at messages of the outbox, by what came of them and why";
        let mut family =
            encoder.encode_descriptor("outbox_attempts", help, None, MetricType::Counter)?;
        for ((outcome, reason), attempts) in self.sources.mail.attempts() {
            let labels = [("outcome", outcome), ("reason", reason)];
            ConstCounter::new(attempts).encode(family.encode_family(&labels)?)?;
        }
        let found = self.backlogs.last().outbox.clone();
        let help = "Whether the database told what waits in the outbox";
        gauge(encoder, "outbox_backlog_known", help, found.is_some().into())?;
        let Some(backlog) = found else { return Ok(()) };
        let help = "Messages that wait to be sent, up to 10 000";
        gauge(encoder, "outbox_waiting", help, backlog.waiting)?;
        let help = "How long the oldest of the messages that wait has waited";
        let oldest =
            encoder.encode_descriptor("outbox_oldest_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(backlog.oldest.as_secs_f64()).encode(oldest)?;
        let help = "Messages that could not be delivered, by why, up to 10 000";
        let dead: Vec<_> =
            backlog.dead.iter().map(|(reason, dead)| (reason.as_str(), *dead)).collect();
        gauges(encoder, "outbox_dead", help, "reason", &dead)
    }

    fn jobs(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Attempts at jobs, by their kind and what came of them";
        let mut family =
            encoder.encode_descriptor("job_attempts", help, None, MetricType::Counter)?;
        for ((kind, outcome), attempts) in self.sources.jobs.attempts() {
            let labels = [("kind", kind), ("outcome", outcome)];
            ConstCounter::new(attempts).encode(family.encode_family(&labels)?)?;
        }
        let found = self.backlogs.last().jobs;
        let help = "Whether the database told which jobs wait";
        gauge(encoder, "job_backlog_known", help, found.is_some().into())?;
        let Some(backlog) = found else { return Ok(()) };
        let JobBacklog { ready, scheduled, running, dead, overdue, .. } = backlog;
        let statuses =
            [("ready", ready), ("scheduled", scheduled), ("running", running), ("dead", dead)];
        let help = "Jobs that are not done, by status, up to 10 000 of each";
        gauges(encoder, "jobs", help, "status", &statuses)?;
        let help = "How long the job that is next has been due";
        let encoder =
            encoder.encode_descriptor("job_overdue_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(overdue.as_secs_f64()).encode(encoder)
    }
}

impl<P> fmt::Debug for Scraped<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scraped").finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for Sources<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("database", &self.database).finish_non_exhaustive()
    }
}

impl<P: Provider> Collector for Scraped<P> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.pool(&mut encoder)?;
        self.limiter(&mut encoder)?;
        self.ledger(&mut encoder)?;
        self.outbox(&mut encoder)?;
        self.jobs(&mut encoder)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

fn count(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (word, value) in values {
        let labels = [(label, *word)];
        ConstGauge::new(*value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counts(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (word, value) in values {
        let labels = [(label, *word)];
        ConstCounter::new(*value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
