//! Taking an event, working on it alone, and writing down what came of it.

use std::time::Duration;

use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::LedgerEvent;
use super::event::Row;
use crate::pg::{PgError, SystemTx};

/// How often and for how long an event is tried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// After so many attempts an event is dead.
    pub max_attempts: u32,
    /// The wait after the first failed attempt. Each further one doubles it, up to an hour; a quarter
    /// more or less is added by chance.
    pub backoff: Duration,
    /// How long one attempt may take before another begins.
    pub lease: Duration,
    /// How long an event waits for something that is not there *yet*, however many attempts that is.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    /// Ten attempts from one second on, leases of 30 seconds, three days of patience.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            backoff: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            patience: Duration::from_hours(72),
        }
    }
}

/// Which event to claim.
#[derive(Clone, Copy, Debug)]
pub enum Which<'w> {
    /// The one of this name, if it is due.
    Named(&'w str),
    /// The one that has been due for longest.
    NextDue,
}

/// An event that is ours until the lease is over.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The event.
    pub event: LedgerEvent,
    token: Uuid,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its effect is in this transaction.
    Processed,
    /// There is nothing to apply, and why, in a word.
    Ignored(&'static str),
    /// Something is not there yet: tried again for as long as [`RetryPolicy::patience`].
    Waiting {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line without anything of the body.
        detail: String,
    },
    /// Something broke: tried again up to [`RetryPolicy::max_attempts`].
    Failed {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line without anything of the body.
        detail: String,
    },
}

/// Claims an event that is due, or one whose lease is over. Commit before you work on it: the claim
/// counts the attempt, and must outlive it.
///
/// # Errors
///
/// [`PgError`].
pub async fn claim(
    tx: &mut SystemTx,
    provider: &str,
    which: Which<'_>,
    policy: RetryPolicy,
) -> Result<Option<Claimed>, PgError> {
    bury(tx, provider, policy).await?;
    let named = match which {
        Which::Named(event_id) => Some(event_id),
        Which::NextDue => None,
    };
    let row = sqlx::query(
        "update mt.webhook_events set status = 'processing', attempts = attempts + 1, \
             lease_token = $3, \
             lease_until = clock_timestamp() + make_interval(secs => $4) \
         where id = ( \
             select id from mt.webhook_events \
             where provider = $1 and ($2::text is null or event_id = $2) \
                 and (status in ('received', 'failed') and next_attempt_at <= clock_timestamp() \
                     or status = 'processing' and lease_until < clock_timestamp()) \
             order by next_attempt_at, id for update skip locked limit 1) \
         returning id, event_id, type, status, reason, last_error, attempts, deliveries, \
             received_at, processed_at, next_attempt_at, body, lease_token",
    )
    .bind(provider)
    .bind(named)
    .bind(Uuid::new_v4())
    .bind(policy.lease.as_secs_f64())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let token = row.try_get("lease_token")?;
    Ok(Some(Claimed { event: Row::from_row(&row)?.try_into()?, token }))
}

/// Buries what has used its attempts up without coming back to say so: it killed its processes.
async fn bury(tx: &mut SystemTx, provider: &str, policy: RetryPolicy) -> Result<(), PgError> {
    sqlx::query(
        "update mt.webhook_events set status = 'dead', lease_token = null, lease_until = null, \
             reason = 'attempts_exhausted', \
             last_error = 'attempts_exhausted: no attempt came to an end' \
         where provider = $1 and status = 'processing' and lease_until < clock_timestamp() \
             and attempts >= $2 and reason is distinct from 'unlinked_customer'",
    )
    .bind(provider)
    .bind(i32::try_from(policy.max_attempts).unwrap_or(i32::MAX))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes hold of a claimed event for the transaction that holds its effect. `false`: the lease was
/// lost to somebody else, so roll back and do nothing.
///
/// # Errors
///
/// [`PgError`].
pub async fn hold(tx: &mut SystemTx, claimed: &Claimed) -> Result<bool, PgError> {
    let held: Option<i32> = sqlx::query_scalar(
        "select 1 from mt.webhook_events \
         where id = $1 and status = 'processing' and lease_token = $2 for update",
    )
    .bind(claimed.event.id)
    .bind(claimed.token)
    .fetch_optional(tx.conn())
    .await?;
    Ok(held.is_some())
}

/// Writes down what came of an attempt, in the transaction that holds its effect. `false`: the lease
/// was lost, so roll back.
///
/// # Errors
///
/// [`PgError`].
pub async fn settle(
    tx: &mut SystemTx,
    claimed: &Claimed,
    outcome: &Outcome,
    policy: RetryPolicy,
) -> Result<bool, PgError> {
    let (status, reason, detail) = match outcome {
        Outcome::Processed => ("processed", None, None),
        Outcome::Ignored(reason) => ("ignored", Some(*reason), None),
        Outcome::Waiting { reason, detail } | Outcome::Failed { reason, detail } => {
            ("failed", Some(*reason), Some(detail.as_str()))
        }
    };
    let last_error = reason.map(|reason| line(reason, detail));
    let may_wait = matches!(outcome, Outcome::Waiting { .. });
    let settled = sqlx::query(
        "update mt.webhook_events set \
             status = case when $3 <> 'failed' then $3 \
                 when $6 and received_at < clock_timestamp() - make_interval(secs => $7) then 'dead' \
                 when not $6 and attempts >= $8 then 'dead' \
                 else 'failed' end, \
             reason = $4, last_error = $5, \
             processed_at = case when $3 = 'processed' then clock_timestamp() end, \
             next_attempt_at = clock_timestamp() + make_interval(secs => \
                 least($9 * power(2, least(attempts - 1, 30)), 3600) * (0.75 + random() * 0.5)), \
             lease_token = null, lease_until = null \
         where id = $1 and status = 'processing' and lease_token = $2",
    )
    .bind(claimed.event.id)
    .bind(claimed.token)
    .bind(status)
    .bind(reason)
    .bind(last_error)
    .bind(may_wait)
    .bind(policy.patience.as_secs_f64())
    .bind(i32::try_from(policy.max_attempts).unwrap_or(i32::MAX))
    .bind(policy.backoff.as_secs_f64())
    .execute(tx.conn())
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// `reason: detail`, no longer than the column takes.
fn line(reason: &str, detail: Option<&str>) -> String {
    const MAX_BYTES: usize = 1024;
    let mut line = detail.map_or_else(|| reason.to_owned(), |detail| format!("{reason}: {detail}"));
    if line.len() > MAX_BYTES {
        line.truncate(line.floor_char_boundary(MAX_BYTES));
    }
    line
}
