//! Retention: finished jobs are deleted after a while.

use std::time::Duration;

use crate::pg::{PgError, System, SystemReason};

const PURGE: SystemReason = SystemReason::new("purge finished jobs");

/// Deletes jobs that have been done, dead or cancelled for `age`, and returns how many. Any number of processes may purge at
/// once.
///
/// # Errors
///
/// [`PgError`]; what was deleted before stays deleted.
pub async fn purge(system: &System, age: Duration) -> Result<u64, PgError> {
    let sql = "delete from mt.jobs where ctid = any (array( \
        select ctid from mt.jobs where done_at < now() - make_interval(secs => $1) \
        order by done_at for update skip locked limit $2))";
    system.delete_older_than(age, PURGE, sql).await
}
