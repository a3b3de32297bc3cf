//! Named points in the processing of an event, for tests that kill the process there.
//!
//! Only a build with the feature `testing` can watch them, and only through
//! [`Ledger::watched`](super::Ledger::watched); no variable and no setting can. In any other build the calls do nothing.

#[cfg(feature = "testing")]
use std::sync::Arc;

/// A point in the processing of an event.
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public where the feature is on")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The event is stored and committed, and not yet acknowledged.
    Recorded,
    /// The lease is committed, nothing else has begun.
    Leased,
    /// The transaction is open and holds the event.
    Held,
    /// The effect is in the transaction, the mark is not.
    Applied,
    /// The effect and the mark are in the transaction, and neither is committed.
    Marked,
    /// The effect and the mark are committed, and the receipt is not returned yet.
    Committed,
}

/// The callback for steps, in tests.
#[derive(Clone, Default)]
pub(super) struct Watcher {
    #[cfg(feature = "testing")]
    watch: Option<Arc<dyn Fn(Step) + Send + Sync>>,
}

impl Watcher {
    #[cfg(feature = "testing")]
    pub(super) fn new(watch: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Arc::new(watch)) }
    }

    #[cfg(feature = "testing")]
    pub(super) fn reached(&self, step: Step) {
        if let Some(watch) = &self.watch {
            watch(step);
        }
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the same signature as with the feature")]
    pub(super) const fn reached(&self, _: Step) {}
}
