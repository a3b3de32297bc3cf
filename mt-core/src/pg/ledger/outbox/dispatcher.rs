//! Dispatchers: they pass due messages to a handler.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lease::{State, lease};
use super::mark::Mark;
use super::{Handler, HandlerOutcome, Lane, OutboxStats};
use crate::pg::ledger::RetryPolicy;
use crate::pg::work::repeat::repeat;
use crate::pg::work::wake_up::WakeUp;
use crate::pg::{PgError, System};

/// Passes the messages of one lane to a handler, one after the other. Any number of processes may run any number.
///
/// Each lane that is used needs one: nothing else sends its messages.
#[derive(Debug)]
pub struct Dispatcher<H> {
    system: System,
    lane: Lane,
    handler: H,
    policy: RetryPolicy,
    wake_up: WakeUp,
    stats: OutboxStats,
}

impl<H: Handler> Dispatcher<H> {
    /// A dispatcher of the main lane in `system`'s database.
    #[must_use]
    pub fn new(system: System, handler: H, policy: RetryPolicy) -> Self {
        let (wake_up, stats) = (WakeUp::default(), OutboxStats::default());
        Self { system, lane: Lane::Main, handler, policy, wake_up, stats }
    }

    /// Takes the messages of `lane` instead of the main one.
    #[must_use]
    pub const fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Counts attempts in `stats`.
    #[must_use]
    pub fn with_stats(mut self, stats: OutboxStats) -> Self {
        self.stats = stats;
        self
    }

    /// Looks for messages on each wake-up, too, and not only by polling.
    #[must_use]
    pub fn woken_by(mut self, wake_up: WakeUp) -> Self {
        self.wake_up = wake_up;
        self
    }

    /// Dispatches messages until `stop` is ready, and finishes the attempt that is under way. Polls each `poll`. To
    /// handle several messages at once, run it several times.
    pub async fn run(&self, poll: Duration, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let step = || self.dispatch_next();
        let failed = "dispatching the outbox failed";
        let work = repeat(failed, poll, &self.wake_up, &stopping, step);
        let stop = async {
            stop.await;
            stopping.cancel();
        };
        futures_util::future::join(work, stop).await;
    }

    /// Makes one attempt at a message that is due. Returns `false` if none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; a message that was leased is due again when its lease is over.
    pub async fn dispatch_next(&self) -> Result<bool, PgError> {
        let Some(leased) = lease(&self.system, self.lane, self.policy).await? else {
            return Ok(false);
        };
        let (message, key) = (&leased.message, &leased.message.dedupe_key);
        let token = match leased.state {
            State::Leased(token) => token,
            State::Expired => {
                tracing::warn!(key, "a message of the outbox expired before it was sent");
                self.stats.count("skipped", "expired");
                return Ok(true);
            }
            State::Exhausted => {
                tracing::error!(key, "a message of the outbox is dead: its attempts are used up");
                self.stats.count("dead", "attempts_exhausted");
                return Ok(true);
            }
        };
        let attempt = tokio::time::timeout(self.policy.lease, self.handler.handle(message)).await;
        let outcome = attempt.unwrap_or_else(|_elapsed| HandlerOutcome::Deferred {
            reason: "timeout",
            detail: "the attempt took as long as its lease".to_owned(),
        });
        let mark = Mark::of(&outcome, &leased, self.policy);
        if !mark.write(&self.system, message.id, token).await? {
            self.stats.count("lost", "none");
            return Ok(true);
        }
        let (outcome, reason) = outcome.labels();
        let is_dead = mark.status == "dead";
        self.stats.count(if is_dead { "dead" } else { outcome }, reason);
        if is_dead {
            tracing::error!(key, reason, "a message of the outbox is dead: it was not sent");
        }
        Ok(true)
    }
}
