//! Leasing events that are due, several at a time.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::event::{Row, columns};
use super::{EventStatus, LedgerEvent, RetryPolicy};
use crate::pg::{PgError, System, SystemReason};

const LEASE: SystemReason = SystemReason::new("lease webhook events");
const RELEASE: SystemReason = SystemReason::new("release leased webhook events");

/// An event that is leased to this attempt, with the body of its first delivery.
#[derive(Clone, Debug)]
pub struct LeasedEvent {
    /// The event.
    pub event: LedgerEvent,
    /// The body of its first delivery.
    pub body: Vec<u8>,
    /// The lease.
    pub(super) token: Uuid,
    /// The failed attempts that count against it, before this one.
    pub(super) failures: u32,
    /// The time since it was first received.
    pub(super) age: Duration,
}

impl LeasedEvent {
    /// An event that was just received.
    pub(super) const fn new(event: LedgerEvent, body: Vec<u8>, token: Uuid) -> Self {
        Self { event, body, token, failures: 0, age: Duration::ZERO }
    }

    /// Reads the row that leasing returned; `None` if the event is dead, because its attempts are used up.
    pub(super) fn read(row: &PgRow) -> Result<Option<Self>, PgError> {
        let event: LedgerEvent = Row::from_row(row)?.try_into()?;
        if event.status == EventStatus::Dead {
            tracing::warn!(
                event = event.event_id,
                "a webhook event is dead: its last attempt never ended"
            );
            return Ok(None);
        }
        let failures: i32 = row.try_get("failures")?;
        let age: f64 = row.try_get("age")?;
        Ok(Some(Self {
            event,
            body: row.try_get("body")?,
            token: row.try_get("lease_token")?,
            failures: u32::try_from(failures).unwrap_or(0),
            age: Duration::try_from_secs_f64(age).unwrap_or_default(),
        }))
    }
}

/// The columns that leasing returns beside those of the event.
macro_rules! leased_columns {
    () => {
        "e.body, e.lease_token, e.failures, \
         extract(epoch from clock_timestamp() - e.received_at)::double precision as age"
    };
}
pub(super) use leased_columns;

/// Leases up to `most` events that are due, and commits that: the lease counts the attempt and outlives it. Returns
/// nothing if nothing is due.
///
/// An event whose lease has run out was left by an attempt that never ended; the event may have killed its process.
/// It is leased alone, so that it can harm no other event, and is dead when that has happened too often. An attempt
/// that held it together with other events does not count against it.
pub(super) async fn lease(
    system: &System,
    provider: &str,
    policy: RetryPolicy,
    most: u32,
) -> Result<Vec<LeasedEvent>, PgError> {
    loop {
        let mut tx = system.begin(LEASE).await?;
        let rows = sqlx::query(concat!(
            "with due as materialized ( \
                 select id, status, attempts, failures, leased_at, leased_alone, next_attempt_at \
                 from mt.webhook_events \
                 where provider = $1 and status in ('received', 'failed', 'processing') \
                     and next_attempt_at <= now() and (lease_until is null or lease_until < now()) \
                 order by next_attempt_at, id for update skip locked limit $2 \
             ), first as ( \
                 select id, status from due order by next_attempt_at, id limit 1 \
             ), taken as ( \
                 select due.id, due.attempts, due.leased_at, due.status = 'processing' as left_behind, \
                     due.failures + (due.status = 'processing' and due.leased_alone)::integer as failures \
                 from due, first \
                 where case first.status when 'processing' then due.id = first.id \
                     else due.status <> 'processing' end \
             ), noted as ( \
                 insert into mt.webhook_attempts (event, attempt, outcome, began_at) \
                 select id, attempts, 'abandoned', leased_at from taken where left_behind \
             ) \
             update mt.webhook_events e set \
                 status = case when t.failures < $3 then 'processing' else 'dead' end, \
                 failures = t.failures, attempts = t.attempts + (t.failures < $3)::integer, \
                 leased_at = clock_timestamp(), \
                 leased_alone = (select count(*) = 1 from taken), \
                 lease_token = case when t.failures < $3 then gen_random_uuid() end, \
                 lease_until = case when t.failures < $3 \
                     then clock_timestamp() + make_interval(secs => $4) end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $4), \
                 reason = case when t.failures < $3 then e.reason else 'attempts_exhausted' end, \
                 last_error = case when t.failures < $3 then e.last_error \
                     else 'attempts_exhausted: the last attempt never ended' end \
             from taken t where e.id = t.id \
             returning ",
            columns!(),
            ", ",
            leased_columns!()
        ))
        .bind(provider)
        .bind(i64::from(most))
        .bind(i32::try_from(policy.max_attempts).unwrap_or(i32::MAX))
        .bind(policy.lease.as_secs_f64())
        .fetch_all(tx.conn())
        .await?;
        let leased = rows
            .iter()
            .filter_map(|row| LeasedEvent::read(row).transpose())
            .collect::<Result<Vec<_>, _>>();
        tx.commit().await?;
        let leased = leased?;
        // All of them are dead now: there may be more that are due.
        if leased.is_empty() && !rows.is_empty() {
            continue;
        }
        return Ok(leased);
    }
}

/// Ends leases without an attempt, as if the events had never been leased.
pub(super) async fn release(system: &System, leased: &[LeasedEvent]) -> Result<(), PgError> {
    let tokens: Vec<Uuid> = leased.iter().map(|event| event.token).collect();
    let ids: Vec<Uuid> = leased.iter().map(|leased| leased.event.id).collect();
    let mut tx = system.begin(RELEASE).await?;
    // In the order in which deliveries lock them.
    sqlx::query(
        "update mt.webhook_events set \
             status = case when reason is null then 'received' else 'failed' end, \
             attempts = attempts - 1, lease_token = null, lease_until = null, \
             next_attempt_at = clock_timestamp() \
         where id in ( \
             select id from mt.webhook_events where id = any ($1) and status = 'processing' \
                 and lease_token = any ($2) order by event_id for update)",
    )
    .bind(ids)
    .bind(tokens)
    .execute(tx.conn())
    .await?;
    tx.commit().await
}
