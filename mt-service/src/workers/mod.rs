//! The tasks behind the requests of a service: they apply stored webhook events, deliver outbox messages, run jobs and
//! delete expired data.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mt_core::access::AccessModel;
//! use mt_core::pg::System;
//! use mt_core::pg::jobs::{JobWorkers, Jobs};
//! use mt_core::pg::ledger::outbox::Handler;
//! use mt_mail::Mailer;
//! use mt_service::workers::{Background, BackgroundOptions};
//! use mt_stripe::billing::StripeBilling;
//!
//! async fn serve<M: AccessModel>(
//!     system: System,
//!     billing: &StripeBilling,
//!     mailer: &Mailer,
//!     handlers: impl Handler,
//!     jobs: Arc<Jobs<M>>,
//! ) {
//!     let options = BackgroundOptions::default();
//!     let background = Background::start(&system, billing, mailer, handlers, options)
//!         .with_jobs(jobs, JobWorkers::default());
//!     // Serves until a signal arrives.
//!     background.stop(Duration::from_secs(5)).await;
//! }
//! ```

mod handlers;
mod housekeeping;

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessModel;
use mt_core::pg::System;
use mt_core::pg::jobs::{JobWorkers, Jobs};
use mt_core::pg::ledger::outbox::{Dispatcher, Handler, Lane};
use mt_core::pg::ledger::{RetryPolicy, Workers};
use mt_mail::Mailer;
use mt_stripe::billing::StripeBilling;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::handlers::OutboxHandlers;
pub use self::housekeeping::{Retention, keep_house};

/// How often the ledger and the outbox are polled without a wake-up. Failed events are due after a second at the
/// soonest, and a new link's events within five.
const POLL: Duration = Duration::from_secs(1);

/// How many events a worker claims at once: of those that Postgres alone takes part in, and where Stripe may
/// be asked, which takes longer and has to fit into the lease.
const APPLYING: u32 = 16;
const ASKING: u32 = 4;

/// How often the service tries to send an email. An email that the mail server defers is retried until it expires.
/// `max_attempts` bounds emails that kill their process, `max_age` those without an expiry.
const MAIL: RetryPolicy = RetryPolicy {
    max_attempts: 20,
    backoff: Duration::from_secs(10),
    lease: Duration::from_mins(1),
    max_age: Duration::from_hours(7 * 24),
};

/// How many emails of a lane are sent concurrently, so that a slow mail server delays few of them.
const DISPATCHERS_PER_LANE: usize = 4;

/// How many tasks there are, and how long data is kept.
#[derive(Clone, Copy, Debug)]
pub struct BackgroundOptions {
    /// How many events are applied at once in this process.
    pub workers: usize,
    /// How long the bodies of events in a final status are kept; `None` for ever.
    pub keep_bodies: Option<Duration>,
    /// How long other data is kept.
    pub retention: Retention,
    /// The connections that the workers, the dispatchers of a lane, or jobs use at once at most. A database with one
    /// connection needs 1, because a second worker would wait for it for ever.
    pub connections: usize,
}

impl Default for BackgroundOptions {
    /// Two workers, bodies for 90 days, other data without end, any number of connections.
    fn default() -> Self {
        let Workers { count, keep_bodies, .. } = Workers::default();
        let retention = Retention::default();
        Self { workers: count, keep_bodies, retention, connections: usize::MAX }
    }
}

/// The tasks behind the requests. Any number of replicas may have them.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    connections: usize,
}

impl Background {
    /// Starts the tasks. `handlers` deliver outbox messages, such as [`OutboxHandlers`].
    #[must_use]
    pub fn start(
        system: &System,
        billing: &StripeBilling,
        mailer: &Mailer,
        handlers: impl Handler,
        options: BackgroundOptions,
    ) -> Self {
        let BackgroundOptions { workers, keep_bodies, retention, connections } = options;
        let (stop, stopping) = watch::channel(false);
        let ledger = billing.ledger().clone();
        let workers = Workers {
            count: workers.min(connections),
            batch: if billing.reconciler().is_some() { ASKING } else { APPLYING },
            poll: POLL,
            keep_bodies,
        };
        let until = until(stopping.clone());
        let working = tokio::spawn(async move { ledger.work(workers, until).await });
        let billing = billing.clone();
        let following = tokio::spawn(async move { billing.follow_prices().await });
        let mut tasks = vec![working, following];
        let handlers = Arc::new(handlers);
        // Without a mail server no delivery waits for a reply, so one dispatcher is enough.
        let dispatchers = if mailer.is_configured() { DISPATCHERS_PER_LANE } else { 1 };
        for lane in [Lane::Main, Lane::Urgent] {
            let dispatcher = Dispatcher::new(system.clone(), Arc::clone(&handlers), MAIL)
                .in_lane(lane)
                .woken_by(mailer.wake_up(lane).clone())
                .with_stats(mailer.stats().clone());
            let dispatcher = Arc::new(dispatcher);
            for _ in 0..dispatchers.min(connections) {
                let (dispatcher, until) = (Arc::clone(&dispatcher), self::until(stopping.clone()));
                tasks.push(tokio::spawn(async move { dispatcher.run(POLL, until).await }));
            }
        }
        let cleaning = keep_house(system.clone(), retention, self::until(stopping));
        tasks.push(tokio::spawn(cleaning));
        Self { stop, tasks, connections }
    }

    /// Runs `jobs` too, and purges those that are finished by [`JobWorkers::keep`].
    #[must_use]
    pub fn with_jobs<M: AccessModel>(mut self, jobs: Arc<Jobs<M>>, workers: JobWorkers) -> Self {
        let most = u16::try_from(self.connections).unwrap_or(u16::MAX);
        let workers = JobWorkers { count: workers.count.min(most), ..workers };
        let until = until(self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move { jobs.work(workers, until).await }));
        self
    }

    /// Stops the tasks. Each may finish its current work within `timeout` and is aborted after it; what an aborted
    /// task had claimed is retried when its lease ends. The transaction of an aborted job is rolled back.
    pub async fn stop(self, timeout: Duration) {
        // An error says that every task has already ended.
        let _ = self.stop.send(true);
        let deadline = tokio::time::Instant::now() + timeout;
        for mut task in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

async fn until(mut stopping: watch::Receiver<bool>) {
    // An error says that the sender is gone, and the service with it.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
