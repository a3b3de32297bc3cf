//! Deleting old entries.

use std::time::Duration;

use crate::pg::{PgError, System, SystemReason};

const PURGE: SystemReason =
    SystemReason::new("delete entries of the audit log that are old enough");

/// Deletes the entries of all tenants that are older than `age`, and returns how many. Postgres refuses to delete
/// those of the last 30 days, whatever `age` is: they stay. Any number of processes may do it at once.
///
/// # Errors
///
/// [`PgError`]; what was deleted until then is gone.
pub async fn purge(system: &System, age: Duration) -> Result<u64, PgError> {
    let sql = "delete from mt.audit_log where (tenant_id, id) in ( \
             select tenant_id, id from mt.audit_log \
             where at < now() - greatest(make_interval(secs => $1), interval '30 days') \
             order by at limit $2)";
    system.delete_older_than(age, PURGE, sql).await
}
