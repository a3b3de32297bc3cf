//! Holding a claimed event, and writing down what came of it: the fence.

use std::time::Duration;

use super::policy::{Next, Record, chance};
use super::{Claimed, EventStatus, Outcome, RetryPolicy, Setback};
use crate::pg::opening::of_system;
use crate::pg::{PgError, SystemPool, SystemReason, SystemTx};
use crate::word::Word as _;

const APPLY: SystemReason = SystemReason::new("apply a webhook event");

/// Opens the transaction that holds an event's effect, with the event's row and its customer locked.
/// `None`: the lease was lost, and whoever has it decides.
///
/// All in one message. There is nothing in it but UUIDs and words of this program.
pub(super) async fn hold(
    system: &SystemPool,
    claimed: &Claimed,
) -> Result<Option<SystemTx>, PgError> {
    let (id, token) = (claimed.event.id, claimed.token);
    let ours = format!("id = '{id}' and status = 'processing' and lease_token = '{token}'");
    let begin = of_system().say(format!(
        "select count(*) as held from \
             (select 1 from mt.webhook_events where {ours} for update) held; \
         select pg_advisory_xact_lock(hashtextextended('mt ' || provider || ' ' || account || ' ' \
                 || livemode::text || ' ' || customer_id, 0)) \
             from mt.webhook_events where {ours} and customer_id is not null; \
         savepoint effect"
    ));
    let (tx, rows) = system.begin_with(APPLY, begin).await?;
    let held: i64 = rows.first().map_or(Ok(0), |row| sqlx::Row::try_get(row, "held"))?;
    if held == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    Ok(Some(tx))
}

/// Takes back what the effect has written, and keeps the locks.
pub(super) async fn undo(tx: &mut SystemTx) -> Result<(), PgError> {
    sqlx::query("rollback to savepoint effect").execute(tx.conn()).await?;
    tx.record_nothing();
    Ok(())
}

/// What is written down of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) status: EventStatus,
    reason: Option<&'static str>,
    pub(super) line: Option<String>,
    strikes: i32,
    after: Duration,
}

impl Verdict {
    /// What `outcome` means for an event that has fared like `claimed`.
    pub(super) fn of(outcome: &Outcome, claimed: &Claimed, policy: RetryPolicy) -> Self {
        let record = Record {
            attempts: u32::try_from(claimed.event.attempts).unwrap_or(0),
            strikes: claimed.strikes,
            age: claimed.age,
        };
        match outcome {
            Outcome::Processed => Self::end(EventStatus::Processed, None),
            Outcome::Ignored(reason) => Self::end(EventStatus::Ignored, Some(reason)),
            Outcome::Dead(setback) => Self::of_setback(Next::Dead, setback, 1),
            Outcome::Waiting(setback) => {
                Self::of_setback(policy.after_waiting(record, chance()), setback, 0)
            }
            Outcome::Failed(setback) => {
                Self::of_setback(policy.after_failure(record, chance()), setback, 1)
            }
        }
    }

    fn end(status: EventStatus, reason: Option<&'static str>) -> Self {
        let line = reason.map(str::to_owned);
        Self { status, reason, line, strikes: 0, after: Duration::ZERO }
    }

    fn of_setback(next: Next, setback: &Setback, strikes: i32) -> Self {
        let Setback { reason, detail, not_before } = setback;
        let (status, after) = match next {
            Next::Dead => (EventStatus::Dead, Duration::ZERO),
            Next::After(wait) => (EventStatus::Failed, wait.max(*not_before)),
        };
        let line = Some(line(reason, detail));
        Self { status, reason: Some(reason), line, strikes, after }
    }

    /// Whether what the effect wrote is to be kept.
    pub(super) const fn keeps_effect(&self) -> bool {
        matches!(self.status, EventStatus::Processed | EventStatus::Ignored)
    }
}

/// Writes the verdict down, and the attempt into the event's history. `false`: the lease was lost, so
/// roll back.
pub(super) async fn settle(
    tx: &mut SystemTx,
    claimed: &Claimed,
    verdict: &Verdict,
) -> Result<bool, PgError> {
    let settled = sqlx::query(
        "with settled as ( \
             update mt.webhook_events set status = $3, reason = $4, last_error = $5, \
                 strikes = strikes + $6, lease_token = null, lease_until = null, \
                 processed_at = case when $3 = 'processed' then clock_timestamp() end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $7) \
             where id = $1 and status = 'processing' and lease_token = $2 \
             returning id, attempts, claimed_at \
         ) \
         insert into mt.webhook_attempts (event, attempt, outcome, detail, began_at) \
         select id, attempts, $3, $5, claimed_at from settled",
    )
    .bind(claimed.event.id)
    .bind(claimed.token)
    .bind(verdict.status.as_str())
    .bind(verdict.reason)
    .bind(&verdict.line)
    .bind(verdict.strikes)
    .bind(verdict.after.as_secs_f64())
    .execute(tx.conn())
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// `reason: detail`, no longer than the column takes.
pub(super) fn line(reason: &str, detail: &str) -> String {
    const MAX_BYTES: usize = 1024;
    let mut line = format!("{reason}: {detail}");
    line.truncate(line.floor_char_boundary(MAX_BYTES));
    // Postgres has no such character in its texts.
    line.retain(|char| char != '\0');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_its_column() {
        assert_eq!(line("database", "no\0thing"), "database: nothing");
        let long = line("é", &"é".repeat(1000));
        assert!(long.len() <= 1024 && long.len() > 1020, "{}", long.len());
    }
}
