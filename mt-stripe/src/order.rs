//! The order of events: which of many snapshots of a subscription is the current one.
//!
//! Deliveries come late, twice and out of order, and `created` counts whole seconds, which several events share. So the
//! state does not depend on arrival: it is the set of events of the greatest [`Group`], which is a phase of life and a
//! second. Joining two such sets is associative, commutative and idempotent, and the set is stored with the subscription,
//! so this holds across replays and after old events have been purged.
//!
//! Within a second, an event that says what it replaced (`previous_attributes`) comes after the event that showed that.
//! Of the events that no other one follows, the greatest by type and identifier is believed. If they differ, only Stripe
//! knows the state, and [`Believed::ambiguous`] says so; that flag, too, is a function of the set of events.
//!
//! ```
//! use chrono::DateTime;
//! use mt_stripe::event::{Effect, Event};
//! use mt_stripe::order::SubscriptionState;
//!
//! let seen = |body: &str| {
//!     let event = Event::parse(body.as_bytes()).unwrap();
//!     let Effect::Subscription(change) = event.effect() else { panic!("{body}") };
//!     SubscriptionState::of(change, event.id(), event.created().unwrap())
//! };
//! let failed = seen(r#"{"id": "evt_b", "type": "customer.subscription.updated", "created": 1795449600,
//!     "data": {"object": {"id": "sub_1", "status": "past_due"},
//!              "previous_attributes": {"status": "active"}}}"#);
//! let began = seen(r#"{"id": "evt_z", "type": "customer.subscription.created", "created": 1795449600,
//!     "data": {"object": {"id": "sub_1", "status": "active"}}}"#);
//!
//! // One second, either order.
//! let state = failed.clone().join(began.clone());
//! assert_eq!(state, began.join(failed));
//! let believed = state.believed().unwrap();
//! assert_eq!((believed.event, believed.ambiguous), ("evt_b", false));
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use serde::{Deserialize, Serialize};

use crate::json::Second;
use crate::subscription::{Subscription, SubscriptionChange};

/// The phase of a subscription's life. Live statuses follow each other in any order, but no status follows the end, and
/// none leads back to the start.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Phase {
    /// Its first payment is outstanding.
    Incomplete,
    /// It is in force, in any state, also an unknown one.
    Live,
    /// It has ended for good. A new purchase makes another subscription.
    Ended,
}

impl Phase {
    /// The phase of a subscription with this status.
    ///
    /// ```
    /// use mt_core::billing::SubscriptionStatus;
    /// use mt_stripe::order::Phase;
    ///
    /// let of = |word| Phase::of(&SubscriptionStatus::from_word(word));
    /// assert!(of("incomplete") < of("past_due") && of("active") < of("canceled"));
    /// assert_eq!(of("a_word_of_next_year"), Phase::Live);
    /// ```
    #[must_use]
    pub const fn of(status: &SubscriptionStatus) -> Self {
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

impl From<Phase> for u8 {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Incomplete => 0,
            Phase::Live => 1,
            Phase::Ended => 2,
        }
    }
}

impl TryFrom<u8> for Phase {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            0 => Ok(Self::Incomplete),
            1 => Ok(Self::Live),
            2 => Ok(Self::Ended),
            other => Err(format!("`{other}` is not a phase")),
        }
    }
}

/// The place of an event among those of one second, which its [type](crate::event::EventKind) decides.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Announces a change. The subscription that it shows may be older than its second.
    Announced,
    /// Comes first.
    Created,
    /// Updated, paused, resumed.
    Changed,
    /// Comes last.
    Deleted,
}

/// The events of one phase and one second, which their envelopes do not order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Group(Phase, Second);

impl Group {
    /// The phase of life: compared first.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.0
    }

    /// The `created` of its events.
    #[must_use]
    pub fn created(&self) -> DateTime<Utc> {
        self.1.into()
    }
}

/// One event, as far as the order needs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Sighting {
    rank: Rank,
    after: Subscription,
    before: Option<Subscription>,
}

impl Sighting {
    /// Whether it may come before another event. An announcement or a creation does; an update does only if it says what
    /// it replaced.
    fn can_come_before(&self) -> bool {
        self.before.is_some() || matches!(self.rank, Rank::Announced | Rank::Created)
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        other.before.as_ref() == Some(&self.after) && other.after != self.after
    }
}

/// The state of one subscription, by all of its events.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SubscriptionState {
    group: Group,
    /// The events of the group, by identifier. One identifier has one content.
    seen: BTreeMap<String, Sighting>,
    /// The last time at which it was live and not past due.
    settled: Option<Second>,
    /// The times since then at which it was past due.
    past_due: BTreeSet<Second>,
}

/// The event of a [`SubscriptionState`] that is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Believed<'s> {
    /// Its identifier.
    pub event: &'s str,
    /// What it shows.
    pub subscription: &'s Subscription,
    /// Whether another that could be the later one shows something else.
    pub ambiguous: bool,
}

impl Default for SubscriptionState {
    /// Of no event at all: joining it changes nothing.
    fn default() -> Self {
        Self {
            group: Group(Phase::Incomplete, Second::EPOCH),
            seen: BTreeMap::new(),
            settled: None,
            past_due: BTreeSet::new(),
        }
    }
}

impl SubscriptionState {
    /// The state by one event.
    #[must_use]
    pub fn of(change: SubscriptionChange, event: &str, created: DateTime<Utc>) -> Self {
        let SubscriptionChange { rank, after, before } = change;
        let (phase, created) = (Phase::of(&after.status), Second::of(created));
        let past_due = after.status == SubscriptionStatus::PastDue;
        let sighting = Sighting { rank, after, before };
        Self {
            group: Group(phase, created),
            seen: BTreeMap::from([(event.to_owned(), sighting)]),
            settled: (phase == Phase::Live && !past_due).then_some(created),
            past_due: past_due.then_some(created).into_iter().collect(),
        }
    }

    /// The state by the events of both.
    ///
    /// Associative, commutative and idempotent, with [`default`](Self::default) as its neutral element:
    /// a chain (the greatest group) times the set of events seen in it, times the time last settled
    /// with the past-due times above it. Postgres does the same in one statement (`state/join.rs`).
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let settled = self.settled.max(other.settled);
        let past_due = self
            .past_due
            .union(&other.past_due)
            .filter(|at| settled.is_none_or(|settled| **at > settled))
            .copied()
            .collect();
        let group = self.group.max(other.group);
        let seen = [self, other]
            .into_iter()
            .filter(|state| state.group == group)
            .flat_map(|state| state.seen)
            .collect();
        Self { group, seen, settled, past_due }
    }

    /// The event to believe; `None` as long as there is none.
    #[must_use]
    pub fn believed(&self) -> Option<Believed<'_>> {
        let is_last = |sighting: &Sighting| {
            !(sighting.can_come_before()
                && self.seen.values().any(|other| sighting.is_replaced_by(other)))
        };
        let mut candidates: Vec<(&String, &Sighting)> =
            self.seen.iter().filter(|(_, sighting)| is_last(sighting)).collect();
        if candidates.is_empty() {
            // Each is replaced by another one.
            candidates = self.seen.iter().collect();
        }
        let (event, decides) =
            candidates.iter().max_by(|a, b| (a.1.rank, a.0).cmp(&(b.1.rank, b.0))).copied()?;
        let ambiguous = candidates.iter().any(|(_, other)| other.after != decides.after);
        Some(Believed { event, subscription: &decides.after, ambiguous })
    }

    /// The group of the believed event.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }

    /// The identifiers of the events of that group.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str)
    }

    /// The last time at which an event showed it alive and not past due.
    pub(crate) const fn settled(&self) -> Option<Second> {
        self.settled
    }

    /// The start of the present run of `past_due` as events tell it, which further failures do not
    /// move. `settled` is a time at which it is known not to have been past due.
    pub(crate) fn past_due_since(&self, settled: Option<Second>) -> Option<Second> {
        self.past_due.iter().find(|at| settled.is_none_or(|settled| **at > settled)).copied()
    }
}

#[cfg(test)]
mod tests;
