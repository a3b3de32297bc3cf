//! Deleting old invites.

use std::time::Duration;

use crate::pg::{PgError, System, SystemReason};

const PURGE: SystemReason = SystemReason::new("delete invites that expired long ago");

/// Deletes the invites of all tenants that expired longer than `age` ago, whatever became of them, and returns how
/// many. Any number of processes may do it at once.
///
/// # Errors
///
/// [`PgError`]; what was deleted until then is gone.
pub async fn purge(system: &System, age: Duration) -> Result<u64, PgError> {
    let sql = "delete from mt.invites where (tenant_id, id) in ( \
             select tenant_id, id from mt.invites \
             where expires_at < now() - make_interval(secs => $1) \
             order by expires_at for update skip locked limit $2)";
    system.delete_older_than(age, PURGE, sql).await
}
