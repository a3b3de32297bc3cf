//! The way of a job to Redis, through the outbox.

use std::time::Duration;

use apalis::prelude::TaskSink as _;
use apalis_redis::{Config, RedisError, RedisStorage};
use helpdesk::TicketsWrite;
use mt::pg::jobs::{EnvelopeKey, JobEnvelope};
use mt::pg::ledger::outbox::{Handler, HandlerOutcome, Lane, Message, NewMessage, enqueue};
use mt::pg::{PgError, TenantTx};
use mt::prelude::*;

use crate::comment::Comment;

/// The topic of envelopes in the outbox.
pub const TOPIC: &str = "jobs.elsewhere";

/// How often a worker reports that it is alive, and looks for tasks that have waited for their next attempt.
const HEARTBEAT: Duration = Duration::from_secs(1);

const REQUESTED: Action = Action::new("ticket.comment_requested", "ticket");

/// Puts a job into the outbox of the transaction. `key` names the request for it: the same key is one job.
///
/// # Errors
///
/// [`PgError`].
pub async fn send(
    tx: &mut TenantTx<TicketsWrite>,
    job: &Comment,
    key: &str,
    sealed_with: &EnvelopeKey,
) -> Result<bool, PgError> {
    let envelope = JobEnvelope::new(tx, job, sealed_with)?;
    let payload = serde_json::to_value(&envelope).expect("two texts are JSON");
    let tenant = Some(tx.tenant());
    let message = NewMessage { tenant, topic: TOPIC, lane: Lane::Main, dedupe_key: key, payload };
    enqueue(tx.execute::<TicketsWrite>(REQUESTED.on(job.ticket)), &message).await
}

/// The queue in Redis.
pub type Queue = RedisStorage<JobEnvelope>;

/// Opens the queue `name` in the Redis at `url`.
///
/// # Errors
///
/// [`RedisError`] when Redis does not answer.
pub async fn queue(url: &str, name: &str) -> Result<Queue, RedisError> {
    let connection = apalis_redis::connect(url).await?;
    let config = Config::default().queue(name).heartbeat_interval(HEARTBEAT);
    Ok(RedisStorage::new(connection).with_config(config))
}

/// A handler of outbox messages that pushes envelopes to Redis. While Redis is away they wait in the outbox.
#[derive(Debug)]
pub struct ToRedis(pub Queue);

impl Handler for ToRedis {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        let envelope = match serde_json::from_value::<JobEnvelope>(message.payload.clone()) {
            Ok(envelope) if message.topic == TOPIC => envelope,
            _ => return HandlerOutcome::Dead("the message holds no job".to_owned()),
        };
        match self.0.clone().push(envelope).await {
            Ok(()) => HandlerOutcome::Sent,
            Err(error) => HandlerOutcome::Deferred { reason: "redis", detail: error.to_string() },
        }
    }
}
