//! What goes on with stored events after the request that brought them, and with the messages that they
//! leave.

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::ledger::outbox::{Dispatcher, Handler, Lane};
use mt_core::pg::ledger::{RetryPolicy, Workers};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Config;

/// How often the ledger and the outbox are polled without a wake-up. Failed events are due after a second at the
/// soonest, and a new link's events within five.
const POLL: Duration = Duration::from_secs(1);

/// How many events a worker claims at once: of those that Postgres alone takes part in, and where Stripe may
/// be asked, which takes longer and has to fit into the lease.
const APPLYING: u32 = 16;
const ASKING: u32 = 4;

/// How often the server tries to send an email. An email that the mail server defers is retried until it expires.
/// `max_attempts` bounds emails that kill their process, `max_age` those without an expiry.
const MAIL: RetryPolicy = RetryPolicy {
    max_attempts: 20,
    backoff: Duration::from_secs(10),
    lease: Duration::from_mins(1),
    max_age: Duration::from_hours(7 * 24),
};

/// How many emails of a lane are sent concurrently, so that a slow mail server delays few of them.
const DISPATCHERS_PER_LANE: usize = 4;

/// The tasks behind the requests. Any number of replicas may have them.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the tasks of `app`. `handlers` deliver outbox messages. `connections` bounds the connections in use at
    /// once.
    #[must_use]
    pub fn start(app: &App, handlers: impl Handler, config: &Config, connections: usize) -> Self {
        let (stop, stopping) = watch::channel(false);
        let ledger = app.billing.ledger().clone();
        let workers = Workers {
            count: usize::try_from(config.webhooks.workers.get()).unwrap_or(1).min(connections),
            batch: if config.stripe.secret_key.is_some() { ASKING } else { APPLYING },
            poll: POLL,
            keep_bodies: config.webhooks.retention,
        };
        let until = until(stopping.clone());
        let working = tokio::spawn(async move { ledger.work(workers, until).await });
        let billing = app.billing.clone();
        let following = tokio::spawn(async move { billing.follow_prices().await });
        let mut tasks = vec![working, following];
        let handlers = Arc::new(handlers);
        // Without a mail server no delivery waits for a reply, so one dispatcher is enough.
        let dispatchers = if app.mailer.is_configured() { DISPATCHERS_PER_LANE } else { 1 };
        for lane in [Lane::Main, Lane::Urgent] {
            let dispatcher = Dispatcher::new(app.system.clone(), Arc::clone(&handlers), MAIL)
                .in_lane(lane)
                .woken_by(app.mailer.wake_up(lane).clone())
                .with_stats(app.mailer.stats().clone());
            let dispatcher = Arc::new(dispatcher);
            for _ in 0..dispatchers.min(connections) {
                let (dispatcher, until) = (Arc::clone(&dispatcher), self::until(stopping.clone()));
                tasks.push(tokio::spawn(async move { dispatcher.run(POLL, until).await }));
            }
        }
        let (until, system) = (self::until(stopping), app.system.clone());
        let cleaning =
            crate::housekeeping::run(system, config.growth, config.outbox_retention, until);
        tasks.push(tokio::spawn(cleaning));
        Self { stop, tasks }
    }

    /// Stops the tasks. Each may finish its current work within `timeout` and is aborted after it; what an aborted
    /// task had claimed is retried when its lease ends.
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
    // An error says that the sender is gone, and the server with it.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
