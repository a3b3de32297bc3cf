//! Deletes expired data.

use std::error::Error as _;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use mt_core::pg::billing::checkout;
use mt_core::pg::ledger::outbox;
use mt_core::pg::{PgError, System, User, audit_log, idempotency, invites};

/// The interval. Data that is older than its retention is not used in the meantime.
const PERIOD: Duration = Duration::from_mins(10);

/// How long an address knows a network after the last sign-in from there.
const NETWORKS: Duration = Duration::from_hours(24 * 90);

/// How long data is kept that is no longer needed; `None`: as long as its tenant, and messages for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Entries of the audit log. Postgres refuses to delete one that is younger than 30 days.
    pub audit_entries: Option<Duration>,
    /// Accepted, revoked and expired invites.
    pub invites: Option<Duration>,
    /// Messages of the outbox that are done.
    pub messages: Option<Duration>,
}

/// Deletes expired data now and every ten minutes until `stop` is ready. Any number of processes may run it.
pub async fn keep_house(system: System, retention: Retention, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    loop {
        report("answers to repeatable requests", idempotency::purge(&system).await);
        report("checkout sessions", checkout::purge(&system).await);
        report("networks of addresses", User::purge_networks(&system, NETWORKS).await);
        report("messages of the outbox", outbox::purge(&system, retention.messages).await);
        if let Some(age) = retention.invites {
            report("invites", invites::purge(&system, age).await);
        }
        if let Some(age) = retention.audit_entries {
            report("entries of the audit log", audit_log::purge(&system, age).await);
        }
        if tokio::time::timeout(PERIOD, stop.as_mut()).await.is_ok() {
            return;
        }
    }
}

fn report<N: Debug + Default + PartialEq>(what: &str, purged: Result<N, PgError>) {
    match purged {
        Ok(count) if count == N::default() => {}
        Ok(count) => tracing::debug!(?count, "purged {what}"),
        Err(error) => tracing::warn!(cause = error.source(), "{what} were not purged: {error}"),
    }
}
