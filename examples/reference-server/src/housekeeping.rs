//! Deletes expired data. Any number of replicas may run it.

use std::error::Error as _;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use mt_core::pg::billing::checkout;
use mt_core::pg::ledger::outbox;
use mt_core::pg::{PgError, System, User, audit_log, idempotency, invites};

use crate::config::GrowthConfig;

/// The interval. Data that is older than its retention is not used in the meantime.
const PERIOD: Duration = Duration::from_mins(10);

/// How long an address knows a network after the last sign-in from there.
const NETWORKS: Duration = Duration::from_hours(24 * 90);

/// Purges now and every ten minutes until `stop` is ready. `messages` is the retention of outbox messages.
pub(crate) async fn run(
    system: System,
    kept: GrowthConfig,
    messages: Option<Duration>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    loop {
        report("answers to repeatable requests", idempotency::purge(&system).await);
        report("checkout sessions", checkout::purge(&system).await);
        report("networks of addresses", User::purge_networks(&system, NETWORKS).await);
        report("messages of the outbox", outbox::purge(&system, messages).await);
        if let Some(age) = kept.invites {
            report("invites", invites::purge(&system, age).await);
        }
        if let Some(age) = kept.audit_entries {
            report("entries of the audit log", audit_log::purge(&system, age).await);
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = &mut stop => return,
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
