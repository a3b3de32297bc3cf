//! What goes on with stored events after the request that brought them, and with the messages that they
//! leave.

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::ledger::outbox::Dispatcher;
use mt_core::pg::ledger::{RetryPolicy, Workers};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::courier::OwnersPost;
use super::departures::WithDepartures;
use super::follow_prices;
use crate::app::App;
use crate::config::Config;
use crate::mail::Post;

/// How often the ledger and the outbox are looked at when nobody says that there is something. Failed
/// events are due after a second at the soonest, and a new link's events within five.
const POLL: Duration = Duration::from_secs(1);

/// How many events a worker claims at once: of those that Postgres alone takes part in, and where Stripe may
/// be asked, which takes longer and has to fit into the lease.
const APPLYING: u32 = 16;
const ASKING: u32 = 4;

/// How often the server tries to send a letter. A letter that the mail server defers is retried until it expires.
/// `max_attempts` bounds letters that kill their process, `patience` those without an expiry.
const MAIL: RetryPolicy = RetryPolicy {
    max_attempts: 20,
    backoff: Duration::from_secs(10),
    lease: Duration::from_mins(1),
    patience: Duration::from_hours(7 * 24),
};

/// How many letters are handed over at once, so that a mail server which takes its time over one delays few.
const POSTMEN: usize = 4;

/// The tasks behind the requests. Any number of replicas may have them.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts them for `app`. `connections` bounds how many they use at once.
    #[must_use]
    pub fn start(app: &App, config: &Config, connections: usize) -> Self {
        let (stop, stopping) = watch::channel(false);
        let processor = app.billing.processor().clone();
        let ledger = processor.ledger().clone();
        let workers = Workers {
            count: usize::try_from(config.webhooks.workers.get()).unwrap_or(1).min(connections),
            batch: if config.stripe.secret_key.is_some() { ASKING } else { APPLYING },
            poll: POLL,
            keep_bodies: config.webhooks.retention,
        };
        let until = until(stopping.clone());
        let working = tokio::spawn(async move { ledger.work(workers, until).await });
        let following = tokio::spawn(async move { follow_prices(&processor).await });
        let mut tasks = vec![working, following];
        let mailer = app.mailer.clone();
        let owners = OwnersPost::new(app.system.clone(), mailer.clone(), app.base_url.clone());
        let (bell, stats) = (mailer.bell().clone(), mailer.stats().clone());
        let rest = Post::new(mailer, owners);
        let post = WithDepartures { departures: app.billing.departures.clone(), rest };
        let dispatcher = Dispatcher::new(app.system.clone(), post, MAIL).at(bell).counting(stats);
        let dispatcher = Arc::new(dispatcher);
        // Without a mail server there is nothing to wait for.
        let postmen = if app.mailer.is_set_up() { POSTMEN } else { 1 };
        for _ in 0..postmen.min(connections) {
            let (dispatcher, until) = (Arc::clone(&dispatcher), self::until(stopping.clone()));
            tasks.push(tokio::spawn(async move { dispatcher.run(POLL, until).await }));
        }
        let until = self::until(stopping);
        tasks.push(tokio::spawn(crate::housekeeping::run(app.system.clone(), until)));
        Self { stop, tasks }
    }

    /// Lets them end what they are at, for as long as `patience`; what is cut short then is taken up when
    /// its lease is over.
    pub async fn stop(self, patience: Duration) {
        // Nobody listens if they have ended by themselves.
        let _ = self.stop.send(true);
        let deadline = tokio::time::Instant::now() + patience;
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
