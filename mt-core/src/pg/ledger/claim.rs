//! Taking events that are due, several at a time.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::event::{Row, columns};
use super::{EventStatus, LedgerEvent, RetryPolicy};
use crate::pg::{PgError, SystemPool, SystemReason};

const CLAIM: SystemReason = SystemReason::new("claim webhook events");
const RELEASE: SystemReason = SystemReason::new("give claimed webhook events back");

/// An event that is ours until the lease is over, with what was delivered first.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The event.
    pub event: LedgerEvent,
    /// Its bytes.
    pub body: Vec<u8>,
    pub(super) token: Uuid,
    pub(super) strikes: u32,
    pub(super) age: Duration,
}

impl Claimed {
    /// An event that has just come.
    pub(super) const fn new(event: LedgerEvent, body: Vec<u8>, token: Uuid) -> Self {
        Self { event, body, token, strikes: 0, age: Duration::ZERO }
    }

    /// What a claim returned; `None` if that was the end of it.
    pub(super) fn read(row: &PgRow) -> Result<Option<Self>, PgError> {
        let event: LedgerEvent = Row::from_row(row)?.try_into()?;
        if event.status == EventStatus::Dead {
            tracing::warn!(
                event = event.event_id,
                "a webhook event is dead: nobody came back from it"
            );
            return Ok(None);
        }
        let strikes: i32 = row.try_get("strikes")?;
        let age: f64 = row.try_get("age")?;
        Ok(Some(Self {
            event,
            body: row.try_get("body")?,
            token: row.try_get("lease_token")?,
            strikes: u32::try_from(strikes).unwrap_or(0),
            age: Duration::try_from_secs_f64(age).unwrap_or_default(),
        }))
    }
}

/// What a claim returns beside the event.
macro_rules! claimed_columns {
    () => {
        "e.body, e.lease_token, e.strikes, \
         extract(epoch from clock_timestamp() - e.received_at)::double precision as age"
    };
}
pub(super) use claimed_columns;

/// Claims up to `most` events that are due, and commits that: the claim counts the attempt and outlives
/// it. Nothing is due if this returns nothing.
///
/// An event whose lease has run out was left behind by somebody, who may have been killed by it. It is
/// claimed by itself, so that whatever it does it does to itself, and buried when it has done so too
/// often. That somebody took it *along* is nothing against it.
pub(super) async fn claim(
    system: &SystemPool,
    provider: &str,
    policy: RetryPolicy,
    most: u32,
) -> Result<Vec<Claimed>, PgError> {
    loop {
        let mut tx = system.begin(CLAIM).await?;
        let rows = sqlx::query(concat!(
            "with due as materialized ( \
                 select id, status, attempts, strikes, claimed_at, claimed_alone, next_attempt_at \
                 from mt.webhook_events \
                 where provider = $1 and status in ('received', 'failed', 'processing') \
                     and next_attempt_at <= now() and (lease_until is null or lease_until < now()) \
                 order by next_attempt_at, id for update skip locked limit $2 \
             ), first as ( \
                 select id, status from due order by next_attempt_at, id limit 1 \
             ), taken as ( \
                 select due.id, due.attempts, due.claimed_at, due.status = 'processing' as left_behind, \
                     due.strikes + (due.status = 'processing' and due.claimed_alone)::integer as strikes \
                 from due, first \
                 where case first.status when 'processing' then due.id = first.id \
                     else due.status <> 'processing' end \
             ), noted as ( \
                 insert into mt.webhook_attempts (event, attempt, outcome, began_at) \
                 select id, attempts, 'abandoned', claimed_at from taken where left_behind \
             ) \
             update mt.webhook_events e set \
                 status = case when t.strikes < $3 then 'processing' else 'dead' end, \
                 strikes = t.strikes, attempts = t.attempts + (t.strikes < $3)::integer, \
                 claimed_at = clock_timestamp(), \
                 claimed_alone = (select count(*) = 1 from taken), \
                 lease_token = case when t.strikes < $3 then gen_random_uuid() end, \
                 lease_until = case when t.strikes < $3 \
                     then clock_timestamp() + make_interval(secs => $4) end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $4), \
                 reason = case when t.strikes < $3 then e.reason else 'attempts_exhausted' end, \
                 last_error = case when t.strikes < $3 then e.last_error \
                     else 'attempts_exhausted: nobody came back from the last one' end \
             from taken t where e.id = t.id \
             returning ",
            columns!(),
            ", ",
            claimed_columns!()
        ))
        .bind(provider)
        .bind(i64::from(most))
        .bind(i32::try_from(policy.max_attempts).unwrap_or(i32::MAX))
        .bind(policy.lease.as_secs_f64())
        .fetch_all(tx.conn())
        .await?;
        let claimed = rows
            .iter()
            .filter_map(|row| Claimed::read(row).transpose())
            .collect::<Result<Vec<_>, _>>();
        tx.commit().await?;
        let claimed = claimed?;
        // Only burials: there may be more.
        if claimed.is_empty() && !rows.is_empty() {
            continue;
        }
        return Ok(claimed);
    }
}

/// Gives back what was claimed and not begun, as if it had never been claimed.
pub(super) async fn release(system: &SystemPool, claimed: &[Claimed]) -> Result<(), PgError> {
    let tokens: Vec<Uuid> = claimed.iter().map(|claimed| claimed.token).collect();
    let ids: Vec<Uuid> = claimed.iter().map(|claimed| claimed.event.id).collect();
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
