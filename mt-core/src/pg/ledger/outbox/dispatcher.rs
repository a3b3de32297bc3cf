//! Carrying messages out.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::Row as _;
use sqlx::types::Json;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::Message;
use crate::id::TenantId;
use crate::pg::ledger::RetryPolicy;
use crate::pg::ledger::policy::{Next, Record, chance};
use crate::pg::ledger::settle::line;
use crate::pg::ledger::stop::Stop;
use crate::pg::{PgError, SystemPool, SystemReason};

const CLAIM: SystemReason = SystemReason::new("claim a message of the outbox");
const SWEEP: SystemReason = SystemReason::new("forget messages of nobody");
const MARK: SystemReason = SystemReason::new("mark a message of the outbox");

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
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// Not now, and not later either: somebody has to look.
    Never(String),
    /// Not now: tried again, until [`RetryPolicy::max_attempts`].
    NotYet(String),
    /// It has gone out.
    Sent,
    /// There is nobody to tell, and why, in a word.
    Skipped(&'static str),
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
}

/// A message that is ours until the lease is over; without a token it has just been buried.
struct Held {
    message: Message,
    token: Option<Uuid>,
}

impl<C: Courier> Dispatcher<C> {
    /// Has the messages in `system`'s database delivered by `courier`.
    #[must_use]
    pub fn new(system: SystemPool, courier: C, policy: RetryPolicy) -> Self {
        Self { system, courier, policy, bell: Bell::default() }
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
        let Some(held) = self.claim().await? else { return Ok(false) };
        if held.token.is_none() {
            let key = &held.message.dedupe_key;
            tracing::error!(key, "a message of the outbox is dead: nobody came back from it");
            return Ok(true);
        }
        let delivering = self.courier.deliver(&held.message);
        let delivered = tokio::time::timeout(self.policy.lease, delivering)
            .await
            .unwrap_or_else(|_elapsed| Delivered::NotYet("took too long".to_owned()));
        self.mark(&held, delivered).await?;
        Ok(true)
    }

    /// Deletes messages that belong to no tenant and are done with. Tenants' stay, so that a fact is told once,
    /// and dead ones, so that an operator sees them.
    async fn sweep(&self) {
        let swept = async {
            let mut tx = self.system.begin(SWEEP).await?;
            sqlx::query(
                "delete from mt.outbox \
                 where tenant_id is null and status <> 'dead' \
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

    async fn claim(&self) -> Result<Option<Held>, PgError> {
        let mut tx = self.system.begin(CLAIM).await?;
        let row = sqlx::query(
            // One that has used its attempts up killed whoever had it.
            "update mt.outbox set attempts = attempts + (attempts < $2)::integer, \
                 status = case when attempts < $2 then 'sending' else 'dead' end, \
                 last_error = case when attempts < $2 then last_error else 'attempts_exhausted' end, \
                 done_at = case when attempts >= $2 then clock_timestamp() end, \
                 lease_token = case when attempts < $2 then gen_random_uuid() end, \
                 lease_until = case when attempts < $2 \
                     then clock_timestamp() + make_interval(secs => $1) end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $1) \
             where id = ( \
                 select id from mt.outbox \
                 where status in ('pending', 'sending') and next_attempt_at <= now() \
                 order by next_attempt_at, id for update skip locked limit 1) \
             returning id, tenant_id, topic, dedupe_key, payload, attempts, lease_token",
        )
        .bind(self.policy.lease.as_secs_f64())
        .bind(i32::try_from(self.policy.max_attempts).unwrap_or(i32::MAX))
        .fetch_optional(tx.conn())
        .await?;
        let held = row.map(|row| {
            let Json::<Value>(payload) = row.try_get("payload")?;
            let message = Message {
                id: row.try_get("id")?,
                tenant: row.try_get::<Option<_>, _>("tenant_id")?.map(TenantId::from_uuid),
                topic: row.try_get("topic")?,
                dedupe_key: row.try_get("dedupe_key")?,
                payload,
                attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or(0),
            };
            Ok::<_, sqlx::Error>(Held { message, token: row.try_get("lease_token")? })
        });
        tx.commit().await?;
        Ok(held.transpose()?)
    }

    /// Writes down what came of it, unless the lease was lost: then somebody else does.
    async fn mark(&self, held: &Held, delivered: Delivered) -> Result<(), PgError> {
        let attempts = held.message.attempts;
        let (status, error, wait) = match delivered {
            Delivered::Sent => ("sent", None, Duration::ZERO),
            Delivered::Skipped(reason) => ("skipped", Some(reason.to_owned()), Duration::ZERO),
            Delivered::Never(why) => ("dead", Some(line("undelivered", &why)), Duration::ZERO),
            Delivered::NotYet(why) => {
                let record = Record { attempts, strikes: attempts - 1, age: Duration::ZERO };
                let error = Some(line("undelivered", &why));
                match self.policy.after_failure(record, chance()) {
                    Next::Dead => ("dead", error, Duration::ZERO),
                    Next::After(wait) => ("pending", error, wait),
                }
            }
        };
        if status == "dead" {
            let key = &held.message.dedupe_key;
            tracing::error!(key, "a message of the outbox is dead: it could not be delivered");
        }
        let mut tx = self.system.begin(MARK).await?;
        sqlx::query(
            // What was in it is nobody's business any more, if it has gone out.
            "update mt.outbox set status = $3, last_error = $4, lease_token = null, \
                 lease_until = null, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $5), \
                 done_at = case when $3 <> 'pending' then clock_timestamp() end, \
                 payload = case when $3 in ('sent', 'skipped') then 'null' else payload end \
             where id = $1 and status = 'sending' and lease_token = $2",
        )
        .bind(held.message.id)
        .bind(held.token)
        .bind(status)
        .bind(error)
        .bind(wait.as_secs_f64())
        .execute(tx.conn())
        .await?;
        tx.commit().await
    }
}
