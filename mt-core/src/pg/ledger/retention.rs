//! Retention: old bodies are deleted, the rows and histories of events stay.

use std::time::Duration;

use super::{Ledger, Provider};
use crate::pg::{PgError, SystemReason};

const PURGE: SystemReason = SystemReason::new("purge the bodies of old webhook events");

/// How many bodies one transaction deletes.
const BATCH: i64 = 500;

impl<P: Provider> Ledger<P> {
    /// Deletes the bodies of events in a final status that were received longer than `age` ago, and returns how many.
    /// The rows stay, so that a late copy counts as a duplicate; the events cannot be replayed any more.
    ///
    /// Any number of processes may call it at once.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the bodies deleted before stay deleted.
    pub async fn purge_bodies(&self, age: Duration) -> Result<u64, PgError> {
        let mut purged = 0;
        loop {
            let mut tx = self.system().begin(PURGE).await?;
            let batch = sqlx::query(
                "update mt.webhook_events set body = null where id in ( \
                     select id from mt.webhook_events \
                     where provider = $1 and body is not null \
                         and status in ('processed', 'ignored', 'dead') \
                         and received_at < now() - make_interval(secs => $2) \
                     order by received_at for update skip locked limit $3)",
            )
            .bind(P::NAME)
            .bind(age.as_secs_f64())
            .bind(BATCH)
            .execute(tx.conn())
            .await?
            .rows_affected();
            tx.commit().await?;
            purged += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }
}
