//! Carrying messages out.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::claim::{State, claim};
use super::mark::Mark;
use super::{Message, OutboxStats};
use crate::pg::ledger::RetryPolicy;
use crate::pg::ledger::stop::Stop;
use crate::pg::{PgError, SystemPool, SystemReason};

const SWEEP: SystemReason = SystemReason::new("forget messages of nobody");

/// How often what is done with is looked for.
const SWEEP_EACH: Duration = Duration::from_hours(1);

/// Who carries messages out, and is given each of them while nobody else has it.
pub trait Courier: Send + Sync + 'static {
    /// Tries to deliver one message. Not for longer than the lease: it is dropped then.
    fn deliver(&self, message: &Message) -> impl Future<Output = Delivered> + Send;
}

impl<C: Courier> Courier for Arc<C> {
    fn deliver(&self, message: &Message) -> impl Future<Output = Delivered> + Send {
        C::deliver(self, message)
    }
}

/// What came of trying to deliver a message.
///
/// A `reason` is a word of the program: it begins the message's `last_error` and labels metrics. A `detail`
/// is for operators, and holds nothing of the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// Something that is not the message's fault is in the way: tried again, however often, until the message
    /// expires or, if it says nothing of that, for as long as [`RetryPolicy::patience`].
    Deferred {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line.
        detail: String,
    },
    /// Not now, and not later either: somebody has to look.
    Never(String),
    /// Not now: tried again, until [`RetryPolicy::max_attempts`].
    NotYet(String),
    /// The recipient will not have it, now or later.
    Refused {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line.
        detail: String,
    },
    /// It has gone out.
    Sent,
    /// There is nobody to tell, and why, in a word.
    Skipped(&'static str),
}

impl Delivered {
    /// How metrics call an attempt that ended so, and why it did.
    fn labels(&self) -> (&'static str, &'static str) {
        match self {
            Self::Deferred { reason, .. } => ("deferred", reason),
            Self::Never(_) => ("dead", "undelivered"),
            Self::NotYet(_) => ("failed", "undelivered"),
            Self::Refused { reason, .. } => ("dead", reason),
            Self::Sent => ("sent", "none"),
            Self::Skipped(reason) => ("skipped", reason),
        }
    }
}

/// Tells the dispatchers of this process that a message was put in. Those of others look by themselves.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// To be rung once the message is committed.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Takes messages out and has them delivered, one after the other. Any number of processes may have one.
#[derive(Debug)]
pub struct Dispatcher<C> {
    system: SystemPool,
    courier: C,
    policy: RetryPolicy,
    bell: Bell,
    stats: OutboxStats,
}

impl<C: Courier> Dispatcher<C> {
    /// Has the messages in `system`'s database delivered by `courier`.
    #[must_use]
    pub fn new(system: SystemPool, courier: C, policy: RetryPolicy) -> Self {
        let (bell, stats) = (Bell::default(), OutboxStats::default());
        Self { system, courier, policy, bell, stats }
    }

    /// Counts its attempts in `stats`.
    #[must_use]
    pub fn counting(mut self, stats: OutboxStats) -> Self {
        self.stats = stats;
        self
    }

    /// Looks for messages when `bell` rings, too.
    #[must_use]
    pub fn at(mut self, bell: Bell) -> Self {
        self.bell = bell;
        self
    }

    /// Dispatches until `stop` is ready, and ends the delivery that it is at. Looks for messages each
    /// `poll`, and forgets those of nobody a day after they are done with. To deliver several at once, run
    /// it several times.
    pub async fn run(&self, poll: Duration, stop: impl Future<Output = ()>) {
        let asked = Stop::default();
        let work = async {
            let mut swept: Option<Instant> = None;
            while !asked.is_asked() {
                if swept.is_none_or(|swept| swept.elapsed() > SWEEP_EACH) {
                    swept = Some(Instant::now());
                    self.sweep().await;
                }
                match self.dispatch_next().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(cause = error.source(), "the outbox could not be worked on");
                    }
                }
                let rung = tokio::time::timeout(poll, self.bell.0.notified());
                let _ = asked.or(rung).await;
            }
        };
        let ask = async {
            stop.await;
            asked.ask();
        };
        futures_util::future::join(work, ask).await;
    }

    /// Has one message delivered that is due. `false`: none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; a message that is claimed then is due again when its lease is over.
    pub async fn dispatch_next(&self) -> Result<bool, PgError> {
        let Some(claimed) = claim(&self.system, self.policy).await? else { return Ok(false) };
        let (message, key) = (&claimed.message, &claimed.message.dedupe_key);
        let token = match claimed.state {
            State::Leased(token) => token,
            State::Expired => {
                tracing::warn!(key, "a message of the outbox expired before it could be delivered");
                self.stats.count("skipped", "expired");
                return Ok(true);
            }
            State::Exhausted => {
                tracing::error!(key, "a message of the outbox is dead: its attempts are used up");
                self.stats.count("dead", "attempts_exhausted");
                return Ok(true);
            }
        };
        let delivering = self.courier.deliver(message);
        let delivered = tokio::time::timeout(self.policy.lease, delivering).await;
        let delivered = delivered.unwrap_or_else(|_elapsed| Delivered::Deferred {
            reason: "timeout",
            detail: "the attempt took as long as its lease".to_owned(),
        });
        let mark = Mark::of(&delivered, &claimed, self.policy);
        if !mark.write(&self.system, message.id, token).await? {
            self.stats.count("lost", "none");
            return Ok(true);
        }
        let (outcome, reason) = delivered.labels();
        let is_dead = mark.status == "dead";
        self.stats.count(if is_dead { "dead" } else { outcome }, reason);
        if is_dead {
            tracing::error!(
                key,
                reason,
                "a message of the outbox is dead: it could not be delivered"
            );
        }
        Ok(true)
    }

    /// Deletes messages that belong to no tenant and are done with. Tenants' stay, so that a fact is told once,
    /// and dead ones until they are of no
    /// use, so that an operator sees them.
    async fn sweep(&self) {
        let swept = async {
            let mut tx = self.system.begin(SWEEP).await?;
            sqlx::query(
                "delete from mt.outbox \
                 where tenant_id is null and (status <> 'dead' or expires_at < now()) \
                     and done_at < now() - interval '1 day'",
            )
            .execute(tx.conn())
            .await?;
            tx.commit().await
        };
        if let Err(error) = swept.await {
            let error: PgError = error;
            tracing::warn!(cause = error.source(), "the outbox could not be swept");
        }
    }
}
