//! Which of many snapshots of a subscription is the one to believe.
//!
//! Deliveries come late, twice and out of order, and `created` has seconds: an event must not win by
//! arriving last, nor by a clock that several events share. So events are put into a total order
//! that needs no arrival, the [`Key`], and a subscription is the snapshot with the greatest key. A
//! maximum does not depend on order or repetition, and the key is stored beside the snapshot, so this
//! holds across replays and after old events have been purged.
//!
//! What a maximum cannot know is which of two *different* snapshots of one second was the later. Then
//! the state says [`needs_refetch`](SubscriptionState::needs_refetch); that flag, too, is a function
//! of the set of events. Stripe documents no better order, so asking Stripe is all that is left.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::subscription::Subscription;

/// How far a subscription's life has gone. The only transition that is enforced: live statuses
/// follow each other in any order, but none follows the end, and none leads back to the start.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its first payment.
    Incomplete,
    /// In force, in whatever state; a status that is not known is taken for one of these.
    Live,
    /// Over for good. Whoever subscribes again gets another subscription.
    Ended,
}

impl Phase {
    fn of(status: &SubscriptionStatus) -> Self {
        match status {
            SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired => Self::Ended,
            SubscriptionStatus::Incomplete => Self::Incomplete,
            SubscriptionStatus::Active
            | SubscriptionStatus::None
            | SubscriptionStatus::Other(_)
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Trialing
            | SubscriptionStatus::Unpaid => Self::Live,
        }
    }
}

/// What a type of event says about its place within one second.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The first of all.
    Created,
    /// Updated, paused, resumed.
    Changed,
    /// The last of all.
    Deleted,
}

impl Rank {
    /// The rank of events of type `kind`.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match kind {
            "customer.subscription.created" => Self::Created,
            "customer.subscription.deleted" => Self::Deleted,
            _ => Self::Changed,
        }
    }
}

/// The place of an event among all events of its subscription.
///
/// No two events have the same key, since it holds the event's identifier; that part carries no
/// order of its own and only makes the choice the same everywhere.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Key {
    /// Compared first.
    pub phase: Phase,
    /// The event's `created`.
    pub created: DateTime<Utc>,
    /// By type.
    pub rank: Rank,
    /// The event's identifier.
    pub event: String,
}

/// What all events of one subscription come to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SubscriptionState {
    /// The event that is believed.
    pub key: Key,
    /// What it shows.
    pub snapshot: Subscription,
    /// Whether another event of the same phase and second shows something else.
    pub ambiguous: bool,
    /// The last time it was seen alive and not past due.
    pub settled: Option<DateTime<Utc>>,
    /// The times since then at which it was seen past due.
    pub past_due: BTreeSet<DateTime<Utc>>,
}

impl SubscriptionState {
    /// What one event comes to.
    #[must_use]
    pub fn of(snapshot: Subscription, kind: &str, event: &str, created: DateTime<Utc>) -> Self {
        let phase = Phase::of(&snapshot.status);
        let past_due = snapshot.status == SubscriptionStatus::PastDue;
        Self {
            key: Key { phase, created, rank: Rank::of(kind), event: event.to_owned() },
            snapshot,
            ambiguous: false,
            settled: (phase == Phase::Live && !past_due).then_some(created),
            past_due: past_due.then_some(created).into_iter().collect(),
        }
    }

    /// What the events behind both come to.
    ///
    /// Associative, commutative and idempotent: a chain (the greatest phase and second) times the set
    /// of snapshots seen in it, of which only *one* or *several* is kept, times the time last settled
    /// with the past-due times above it.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let settled = self.settled.max(other.settled);
        let past_due = self
            .past_due
            .union(&other.past_due)
            .filter(|at| settled.is_none_or(|settled| **at > settled))
            .copied()
            .collect();
        let (winner, loser) = if other.key > self.key { (other, self) } else { (self, other) };
        let same_second =
            (winner.key.phase, winner.key.created) == (loser.key.phase, loser.key.created);
        let ambiguous = winner.ambiguous
            || same_second && (loser.ambiguous || winner.digest() != loser.digest());
        Self { ambiguous, settled, past_due, ..winner }
    }

    /// Whether only Stripe can tell what the subscription is now.
    #[must_use]
    pub fn needs_refetch(&self) -> bool {
        self.ambiguous || self.snapshot.truncated
    }

    /// The start of the present run of `past_due`, which further failures do not move.
    #[must_use]
    pub fn past_due_since(&self) -> Option<DateTime<Utc>> {
        let in_run = self.snapshot.status == SubscriptionStatus::PastDue;
        // The believed event itself is missing from the set when the same second has it settled too.
        in_run.then(|| self.past_due.first().copied().unwrap_or(self.key.created))
    }

    /// A fingerprint of what is kept of the snapshot; what is not kept makes no difference.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let kept = serde_json::to_vec(&self.snapshot).expect("a snapshot serialises");
        Sha256::digest(kept).into()
    }
}

#[cfg(test)]
mod tests;
