//! How many bytes of bodies the server holds at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What each body may have without being counted: about as much as the transport reads ahead anyway. A flood of long
/// bodies therefore refuses long bodies only. Most events of Stripe are shorter.
pub const UNCOUNTED: usize = 16 * 1024;

/// The bytes that all bodies may have together, beyond the [`UNCOUNTED`] ones.
const BYTES: usize = 64 * 1024 * 1024;

/// What is counted at a time, in bytes.
const STEP: usize = 1024;

/// Bounds the bytes of the bodies that were received and not yet dealt with. Clones share the bound.
///
/// What counts is the memory that a body takes, which grows as bytes arrive: a client holds no more of the budget than
/// twice what it has sent.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// Allows `bytes` in all.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / STEP)))
    }

    /// Counts one body.
    #[must_use]
    pub fn begin(&self) -> Counted {
        Counted { budget: self.clone(), held: None, bytes: UNCOUNTED }
    }
}

impl Default for BodyBudget {
    /// 64 MiB.
    fn default() -> Self {
        Self::new(BYTES)
    }
}

/// A body's part of a [`BodyBudget`], which it gives back when it is dropped.
#[derive(Debug)]
pub struct Counted {
    budget: BodyBudget,
    held: Option<OwnedSemaphorePermit>,
    /// How many bytes the body may have with what is held.
    bytes: usize,
}

impl Counted {
    /// Takes what `bytes` of memory for the body need, and returns whether it was there.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.bytes).div_ceil(STEP);
        if missing == 0 {
            return true;
        }
        let steps = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.budget.0).try_acquire_many_owned(steps) else {
            return false;
        };
        self.bytes += missing * STEP;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bodies_are_not_counted_and_long_ones_give_back_what_they_took() {
        let budget = BodyBudget::new(10 * STEP);
        let (mut first, mut second) = (budget.begin(), budget.begin());
        assert!(first.cover(UNCOUNTED) && second.cover(1));
        assert!(first.cover(UNCOUNTED + 1) && first.cover(UNCOUNTED + 9 * STEP));
        assert!(second.cover(UNCOUNTED + STEP));
        assert!(!second.cover(UNCOUNTED + STEP + 1), "all of it is held");
        assert!(!first.cover(usize::MAX));
        assert!(budget.begin().cover(UNCOUNTED), "short bodies go on");
        drop(first);
        assert!(second.cover(UNCOUNTED + 10 * STEP));
        drop(second);
        assert_eq!(budget.0.available_permits(), 10);
    }
}
