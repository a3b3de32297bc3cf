//! How a ledger applies its events.

use super::RetryPolicy;

/// How a [`Ledger`](super::Ledger) applies its events.
///
/// A [`RetryPolicy`] alone is one, with the default for the rest.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPolicy {
    /// How often and for how long an event is tried.
    pub retry: RetryPolicy,
    /// How many events this process applies at once in the calls that receive them. A call that finds so many
    /// under way leaves its event to the workers; with 0, every call does.
    pub apply_on_receipt: usize,
}

impl Default for LedgerPolicy {
    /// The default [`RetryPolicy`], and four events at once.
    fn default() -> Self {
        Self { retry: RetryPolicy::default(), apply_on_receipt: 4 }
    }
}

impl From<RetryPolicy> for LedgerPolicy {
    fn from(retry: RetryPolicy) -> Self {
        Self { retry, ..Self::default() }
    }
}
