//! Leasing a message that is due.

use std::time::Duration;

use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Lane, Message};
use crate::id::TenantId;
use crate::pg::ledger::RetryPolicy;
use crate::pg::{PgError, System, SystemReason};

const LEASE: SystemReason = SystemReason::new("lease a message of the outbox");

/// A message that was due.
pub(super) struct LeasedMessage {
    pub(super) message: Message,
    pub(super) state: State,
    /// The failed attempts in a row, before this one.
    pub(super) failures: u32,
    /// The time since it was enqueued.
    pub(super) age: Duration,
    /// The time until it expires, if it does.
    pub(super) left: Option<Duration>,
}

/// The state of a message that was due.
pub(super) enum State {
    /// It is leased to this dispatcher under this token.
    Leased(Uuid),
    /// It expired, and is skipped.
    Expired,
    /// Its attempts are used up, and it is dead.
    Exhausted,
}

/// The statement for one lane. The condition is part of the text, so that the index of the lane serves it.
macro_rules! lease_where {
    ($lane:literal) => {
        concat!(
            "with due as ( \
                 select id, failures + (status = 'sending')::integer as failures, \
                     case when expires_at <= clock_timestamp() then 'skipped' \
                         when failures + (status = 'sending')::integer >= $2 then 'dead' \
                         else 'sending' end as next \
                 from mt.outbox \
                 where status in ('pending', 'sending') and next_attempt_at <= now() and ",
            $lane,
            " order by next_attempt_at, id for update skip locked limit 1 \
             ) \
             update mt.outbox o set status = due.next, failures = due.failures, \
                 attempts = o.attempts + (due.next = 'sending')::integer, \
                 last_error = case due.next when 'sending' then o.last_error \
                     when 'dead' then 'attempts_exhausted' \
                     else 'expired' || coalesce(': ' || left(o.last_error, 250), '') end, \
                 payload = case when due.next = 'skipped' then 'null' else o.payload end, \
                 done_at = case when due.next <> 'sending' then clock_timestamp() end, \
                 lease_token = case when due.next = 'sending' then gen_random_uuid() end, \
                 lease_until = case when due.next = 'sending' \
                     then clock_timestamp() + make_interval(secs => $1) end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $1) \
             from due where o.id = due.id \
             returning o.id, o.tenant_id, o.topic, o.dedupe_key, o.payload, o.attempts, o.failures, \
                 o.status, o.lease_token, \
                 extract(epoch from clock_timestamp() - o.created_at)::double precision as age, \
                 extract(epoch from o.expires_at - clock_timestamp())::double precision as remaining"
        )
    };
}

/// Leases the message of `lane` that has been due the longest, unless it expired or its attempts are used up.
///
/// A message that is still marked as being sent has an expired lease: its process was killed. That counts as a failure,
/// so that a message which kills its process each time does not do so for ever.
pub(super) async fn lease(
    system: &System,
    lane: Lane,
    policy: RetryPolicy,
) -> Result<Option<LeasedMessage>, PgError> {
    let mut tx = system.begin(LEASE).await?;
    let row = sqlx::query(match lane {
        Lane::Main => lease_where!("not is_urgent"),
        Lane::Urgent => lease_where!("is_urgent"),
    })
    .bind(policy.lease.as_secs_f64())
    .bind(i32::try_from(policy.max_attempts).unwrap_or(i32::MAX))
    .fetch_optional(tx.conn())
    .await?;
    let leased = row.map(|row| read(&row)).transpose()?;
    tx.commit().await?;
    Ok(leased)
}

fn read(row: &PgRow) -> Result<LeasedMessage, sqlx::Error> {
    let Json::<Value>(payload) = row.try_get("payload")?;
    let count =
        |name| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(name)?).unwrap_or(0));
    let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let status: String = row.try_get("status")?;
    let state = match (status.as_str(), row.try_get::<Option<Uuid>, _>("lease_token")?) {
        (_, Some(token)) => State::Leased(token),
        ("skipped", None) => State::Expired,
        (_, None) => State::Exhausted,
    };
    let message = Message {
        id: row.try_get("id")?,
        tenant: row.try_get::<Option<_>, _>("tenant_id")?.map(TenantId::from_uuid),
        topic: row.try_get("topic")?,
        dedupe_key: row.try_get("dedupe_key")?,
        payload,
        attempts: count("attempts")?,
    };
    Ok(LeasedMessage {
        message,
        state,
        failures: count("failures")?,
        age: seconds(row.try_get("age")?),
        left: row.try_get::<Option<f64>, _>("remaining")?.map(seconds),
    })
}
