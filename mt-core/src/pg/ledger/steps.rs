//! The moments at which a process may be killed, for tests that kill it there.
//!
//! Only a build with the feature `testing` can watch them, and only through
//! [`Ledger::watched`](super::Ledger::watched): there is no variable and no setting that does. In any
//! other build this is nothing.

#[cfg(feature = "testing")]
use std::sync::Arc;

/// A moment in the life of an event.
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public for those who watch, of whom there are none")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Stored and committed, not yet acknowledged.
    Recorded,
    /// The claim is committed, nothing else has begun.
    Claimed,
    /// Its transaction is open and holds its row.
    Held,
    /// The effect is in the transaction, the mark is not.
    Applied,
    /// Both are, and neither is committed.
    Marked,
    /// Both are committed, and nobody has been told.
    Committed,
}

/// Who is told of steps: nobody, but in tests.
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
    #[expect(clippy::unused_self, reason = "as it is with the feature")]
    pub(super) const fn reached(&self, _: Step) {}
}
