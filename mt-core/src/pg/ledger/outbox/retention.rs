//! Retention: messages in a final status are deleted after a while.

use std::time::Duration;

use crate::pg::{PgError, System, SystemReason};

const PURGE: SystemReason = SystemReason::new("purge messages in a final status");

/// How long a message without a tenant, and a spent payload, is kept.
const DAY: Duration = Duration::from_hours(24);

/// Messages without a tenant. Their dedupe keys need not be kept; a dead one stays until it expires, so that an operator
/// sees it.
const WITHOUT_TENANT: &str = "delete from mt.outbox where id in ( \
    select id from mt.outbox \
    where done_at < now() - make_interval(secs => $1) and tenant_id is null \
        and (status <> 'dead' or expires_at < now()) \
    order by done_at for update skip locked limit $2)";

/// The payloads of dead messages that have expired. Dispatchers delete the payloads of those that are sent or skipped.
const SPENT_PAYLOADS: &str = "update mt.outbox set payload = 'null' where id in ( \
    select id from mt.outbox \
    where done_at < now() - make_interval(secs => $1) and payload <> 'null' \
        and (status <> 'dead' or expires_at < now() - make_interval(secs => $1)) \
    order by done_at for update skip locked limit $2)";

const KEPT_LONG_ENOUGH: &str = "delete from mt.outbox where id in ( \
    select id from mt.outbox where done_at < now() - make_interval(secs => $1) \
    order by done_at for update skip locked limit $2)";

/// Counts of what a purge has deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutboxPurge {
    /// Deleted messages.
    pub messages: u64,
    /// Deleted payloads of messages that stay.
    pub payloads: u64,
}

/// Deletes messages that have been in a final status for `keep`, those without a tenant after a day, and payloads a day
/// after the message expired. `None` keeps the messages of tenants for ever.
///
/// The dedupe key is deleted with its message, so the same fact enqueued again is sent again. `keep` must therefore be
/// at least as long as events can be replayed. Any number of processes may purge at once.
///
/// # Errors
///
/// [`PgError`]; what was deleted before stays deleted.
pub async fn purge(system: &System, keep: Option<Duration>) -> Result<OutboxPurge, PgError> {
    let mut messages = system.delete_older_than(DAY, PURGE, WITHOUT_TENANT).await?;
    if let Some(keep) = keep {
        messages += system.delete_older_than(keep, PURGE, KEPT_LONG_ENOUGH).await?;
    }
    // The same loop; the statement empties what it finds.
    let payloads = system.delete_older_than(DAY, PURGE, SPENT_PAYLOADS).await?;
    Ok(OutboxPurge { messages, payloads })
}
