//! Writing down what came of an attempt.

use std::time::Duration;

use uuid::Uuid;

use super::Delivered;
use super::claim::Claimed;
use crate::pg::ledger::RetryPolicy;
use crate::pg::ledger::policy::{Next, Record, chance};
use crate::pg::ledger::settle::line;
use crate::pg::{PgError, SystemPool, SystemReason};

const MARK: SystemReason = SystemReason::new("mark a message of the outbox");

/// How a message stands after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) status: &'static str,
    error: Option<String>,
    strikes: u32,
    wait: Duration,
}

impl Mark {
    /// What `delivered` means for a message that fared like `claimed` so far.
    pub(super) fn of(delivered: &Delivered, claimed: &Claimed, policy: RetryPolicy) -> Self {
        let attempts = claimed.message.attempts;
        let record = Record { attempts, strikes: claimed.strikes, age: claimed.age };
        let end = |status, error| Self { status, error, strikes: 0, wait: Duration::ZERO };
        let next = |next, error, strikes| match next {
            Next::Dead => end("dead", Some(error)),
            Next::After(wait) => Self { status: "pending", error: Some(error), strikes, wait },
        };
        match delivered {
            Delivered::Sent => end("sent", None),
            Delivered::Skipped(reason) => end("skipped", Some((*reason).to_owned())),
            Delivered::Never(why) => end("dead", Some(line("undelivered", why))),
            Delivered::Refused { reason, detail } => end("dead", Some(line(reason, detail))),
            Delivered::NotYet(why) => {
                let after = policy.after_failure(record, chance());
                next(after, line("undelivered", why), claimed.strikes + 1)
            }
            // It came back, so what it was killed by before is over.
            Delivered::Deferred { reason, detail } => {
                let after = policy.after_deferral(record, claimed.left, chance());
                next(after, line(reason, detail), 0)
            }
        }
    }

    /// Writes it down, unless the lease was lost (`false`): then another dispatcher decides.
    pub(super) async fn write(
        &self,
        system: &SystemPool,
        message: Uuid,
        token: Uuid,
    ) -> Result<bool, PgError> {
        let mut tx = system.begin(MARK).await?;
        let marked = sqlx::query(
            // What a message said is not kept once it has gone out.
            "update mt.outbox set status = $3, last_error = $4, strikes = $5, lease_token = null, \
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
        .bind(i32::try_from(self.strikes).unwrap_or(i32::MAX))
        .bind(self.wait.as_secs_f64())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(marked.rows_affected() == 1)
    }
}
