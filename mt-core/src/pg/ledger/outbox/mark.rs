//! Marking a message after an attempt.

use std::time::Duration;

use uuid::Uuid;

use super::HandlerOutcome;
use super::lease::LeasedMessage;
use crate::pg::ledger::RetryPolicy;
use crate::pg::work::failure::line;
use crate::pg::work::retry::{Next, RetryState, chance};
use crate::pg::{PgError, System, SystemReason};

const MARK: SystemReason = SystemReason::new("mark a message of the outbox");

/// The next status of a message, with everything that its row records of the attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) status: &'static str,
    error: Option<String>,
    failures: u32,
    wait: Duration,
}

impl Mark {
    /// The mark of a leased message after an attempt with this outcome.
    pub(super) fn of(
        outcome: &HandlerOutcome,
        leased: &LeasedMessage,
        policy: RetryPolicy,
    ) -> Self {
        let attempts = leased.message.attempts;
        let state = RetryState { attempts, failures: leased.failures, age: leased.age };
        let end = |status, error| Self { status, error, failures: 0, wait: Duration::ZERO };
        let next = |next, error, failures| match next {
            Next::Dead => end("dead", Some(error)),
            Next::After(wait) => Self { status: "pending", error: Some(error), failures, wait },
        };
        match outcome {
            HandlerOutcome::Sent => end("sent", None),
            HandlerOutcome::Skipped(reason) => end("skipped", Some((*reason).to_owned())),
            HandlerOutcome::Dead(why) => end("dead", Some(line("undelivered", why))),
            HandlerOutcome::Refused { reason, detail } => end("dead", Some(line(reason, detail))),
            HandlerOutcome::Failed(why) => {
                let after = policy.after_failure(state, chance());
                next(after, line("undelivered", why), leased.failures + 1)
            }
            // The attempt ended, so failures before it no longer count.
            HandlerOutcome::Deferred { reason, detail } => {
                let after = policy.after_deferral(state, leased.left, chance());
                next(after, line(reason, detail), 0)
            }
        }
    }

    /// Marks the message. Returns `false` if another attempt has the lease by now: that attempt decides.
    pub(super) async fn write(
        &self,
        system: &System,
        message: Uuid,
        token: Uuid,
    ) -> Result<bool, PgError> {
        let mut tx = system.begin(MARK).await?;
        let marked = sqlx::query(
            // The payload is deleted once the message is sent or skipped.
            "update mt.outbox set status = $3, last_error = $4, failures = $5, lease_token = null, \
                 lease_until = null, \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $6), \
                 done_at = case when $3 <> 'pending' then clock_timestamp() end, \
                 payload = case when $3 in ('sent', 'skipped') then 'null' else payload end \
             where id = $1 and status = 'sending' and lease_token = $2",
        )
        .bind(message)
        .bind(token)
        .bind(self.status)
        .bind(&self.error)
        .bind(i32::try_from(self.failures).unwrap_or(i32::MAX))
        .bind(self.wait.as_secs_f64())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(marked.rows_affected() == 1)
    }
}
