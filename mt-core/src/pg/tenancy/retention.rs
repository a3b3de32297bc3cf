//! Deleting rows that were kept long enough, some at a time.

use std::time::Duration;

use crate::pg::{PgError, System, SystemReason};

/// How many rows go in one transaction.
const BATCH: i64 = 500;

impl System {
    /// Deletes rows that are older than `age`, 500 in a transaction, until there are none, and returns how many it
    /// has deleted.
    ///
    /// `sql` takes the age in seconds as `$1` and how many rows to delete at most as `$2`. It should skip rows that
    /// are locked (`for update skip locked`), so that any number of processes may run it at once.
    ///
    /// # Errors
    ///
    /// [`PgError`]; what was deleted until then is gone.
    pub async fn delete_older_than(
        &self,
        age: Duration,
        reason: SystemReason,
        sql: &'static str,
    ) -> Result<u64, PgError> {
        let mut deleted = 0;
        loop {
            let mut tx = self.begin(reason).await?;
            let query = sqlx::query(sql).bind(age.as_secs_f64()).bind(BATCH);
            let batch = query.execute(tx.conn()).await?.rows_affected();
            tx.commit().await?;
            deleted += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }
}
