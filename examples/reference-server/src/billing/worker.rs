//! What goes on with stored events after the request that brought them.

use std::error::Error;
use std::time::Duration;

use mt_stripe::processor::Processor;
use tokio::time::MissedTickBehavior;

/// How often the ledger is asked for work when there was none. Failed events are due after a second
/// at the soonest, and a new link's events within five.
const POLL: Duration = Duration::from_secs(1);

/// Applies events that are due, for as long as the server runs. Any number of replicas may.
pub async fn run(processor: Processor) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        loop {
            match processor.apply_next_due().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(cause = error.source(), "the ledger could not be worked on");
                    break;
                }
            }
        }
    }
}
