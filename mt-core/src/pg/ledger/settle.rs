//! Holding a leased event and marking it: the fence.

use std::time::Duration;

use super::customer::lock_customer;
use super::{EventStatus, Failure, LeasedEvent, Outcome, RetryPolicy};
use crate::pg::transaction::opening::of_system;
use crate::pg::work::failure::line;
use crate::pg::work::retry::{Next, RetryState, chance};
use crate::pg::{PgError, System, SystemReason, SystemTx};
use crate::text_enum::TextEnum as _;

const APPLY: SystemReason = SystemReason::new("apply a webhook event");

/// Opens the transaction of an event's effect, with the event's row and its customer locked. `None` if another attempt
/// has the lease by now: that attempt decides.
///
/// One message. Its text holds UUIDs and words of this program only.
pub(super) async fn hold(
    system: &System,
    leased: &LeasedEvent,
) -> Result<Option<SystemTx>, PgError> {
    let (id, token) = (leased.event.id, leased.token);
    let fence = format!("id = '{id}' and status = 'processing' and lease_token = '{token}'");
    let begin = of_system().text(format!(
        "select count(*) as held from \
             (select 1 from mt.webhook_events where {fence} for update) held; \
         select {lock} from mt.webhook_events where {fence} and customer_id is not null; \
         savepoint effect",
        lock = lock_customer!()
    ));
    let (tx, rows) = system.begin_with(APPLY, begin).await?;
    let held: i64 = rows.first().map_or(Ok(0), |row| sqlx::Row::try_get(row, "held"))?;
    if held == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    Ok(Some(tx))
}

/// Rolls the effect back, and keeps the locks.
pub(super) async fn undo(tx: &mut SystemTx) -> Result<(), PgError> {
    sqlx::query("rollback to savepoint effect").execute(tx.own()).await?;
    tx.record_nothing();
    Ok(())
}

/// The next status of an event, with everything that its row records of the attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transition {
    pub(super) status: EventStatus,
    reason: Option<&'static str>,
    pub(super) line: Option<String>,
    failures: i32,
    after: Duration,
}

impl Transition {
    /// The transition of a leased event after an attempt with this outcome.
    pub(super) fn of(outcome: &Outcome, leased: &LeasedEvent, policy: RetryPolicy) -> Self {
        let state = RetryState {
            attempts: u32::try_from(leased.event.attempts).unwrap_or(0),
            failures: leased.failures,
            age: leased.age,
        };
        match outcome {
            Outcome::Processed => Self::end(EventStatus::Processed, None),
            Outcome::Ignored(reason) => Self::end(EventStatus::Ignored, Some(reason)),
            Outcome::Dead(failure) => Self::of_failure(Next::Dead, failure, 1),
            Outcome::Deferred(failure) => {
                Self::of_failure(policy.after_deferral(state, None, chance()), failure, 0)
            }
            Outcome::Failed(failure) => {
                Self::of_failure(policy.after_failure(state, chance()), failure, 1)
            }
        }
    }

    fn end(status: EventStatus, reason: Option<&'static str>) -> Self {
        let line = reason.map(str::to_owned);
        Self { status, reason, line, failures: 0, after: Duration::ZERO }
    }

    fn of_failure(next: Next, failure: &Failure, failures: i32) -> Self {
        let Failure { reason, detail, retry_after } = failure;
        let (status, after) = match next {
            Next::Dead => (EventStatus::Dead, Duration::ZERO),
            Next::After(wait) => (EventStatus::Failed, wait.max(*retry_after)),
        };
        let line = Some(line(reason, detail));
        Self { status, reason: Some(reason), line, failures, after }
    }

    /// Whether the effect is committed with it.
    pub(super) const fn keeps_effect(&self) -> bool {
        matches!(self.status, EventStatus::Processed | EventStatus::Ignored)
    }
}

/// Marks the event, and adds the attempt to its history. `false` if another attempt has the lease by now: roll back.
pub(super) async fn mark(
    tx: &mut SystemTx,
    leased: &LeasedEvent,
    transition: &Transition,
) -> Result<bool, PgError> {
    let marked = sqlx::query(
        "with settled as ( \
             update mt.webhook_events set status = $3, reason = $4, last_error = $5, \
                 failures = failures + $6, lease_token = null, lease_until = null, \
                 processed_at = case when $3 = 'processed' then clock_timestamp() end, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $7) \
             where id = $1 and status = 'processing' and lease_token = $2 \
             returning id, attempts, leased_at \
         ) \
         insert into mt.webhook_attempts (event, attempt, outcome, detail, began_at) \
         select id, attempts, $3, $5, leased_at from settled",
    )
    .bind(leased.event.id)
    .bind(leased.token)
    .bind(transition.status.as_str())
    .bind(transition.reason)
    .bind(&transition.line)
    .bind(transition.failures)
    .bind(transition.after.as_secs_f64())
    .execute(tx.conn())
    .await?;
    Ok(marked.rows_affected() == 1)
}
