//! Deleting what was kept long enough. Any number of replicas may do it.

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use mt_core::pg::{SystemPool, idempotency};

/// How often there is a look. What is older than it should be is not used in the meantime.
const PERIOD: Duration = Duration::from_mins(10);

/// Cleans up now, and then every ten minutes until `stop` is ready.
pub(crate) async fn run(system: SystemPool, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    loop {
        match idempotency::purge(&system).await {
            Ok(0) => {}
            Ok(answers) => tracing::debug!(answers, "purged answers to repeatable requests"),
            Err(error) => tracing::warn!(cause = error.source(), "not purged: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = &mut stop => return,
        }
    }
}
