//! What is known of a subscription: its events, and the answers of Stripe to fetches.
//!
//! An answer has no place of its own in the order of events: Stripe read it at some moment between the request and the
//! answer. So the request carries a [`FetchStart`] that was taken *before* it and names the events that were known then.
//! The answer contains exactly those; among answers the greater number wins, whichever came back first. A number that
//! is taken when the answer arrives would let a slow old answer overwrite a quick new one (`tests/it/subscriptions/concurrent_refetch.rs`
//! counts how often).
//!
//! Against later events:
//!
//! * the later phase of life wins: an end stays the end, whether an event or an answer showed it;
//! * an event of a second after the answer is newer, and wins;
//! * an event from between may or may not be in the answer. The answer stands, and is asked for again.
//!
//! ```
//! use chrono::DateTime;
//! use mt_stripe::event::{Effect, Event};
//! use mt_stripe::known::{Answer, FetchStart, KnownSubscription};
//! use mt_stripe::order::SubscriptionState;
//! use mt_stripe::subscription::Subscription;
//! use serde_json::json;
//!
//! let seen = |id: &str, status: &str| {
//!     let event = json!({
//!         "id": id, "type": "customer.subscription.updated", "created": 1_795_449_600,
//!         "data": {"object": {"id": "sub_1", "status": status}},
//!     });
//!     let event = Event::parse(event.to_string().as_bytes()).unwrap();
//!     let Effect::Subscription(change) = event.effect() else { panic!("{event:?}") };
//!     SubscriptionState::of(change, event.id(), event.created().unwrap())
//! };
//! // Two events of one second, and nothing says which was the later.
//! let known = KnownSubscription::from(seen("evt_1", "active")).join(seen("evt_2", "unpaid"));
//! assert!(known.current().unwrap().needs_refetch);
//!
//! let asked = DateTime::from_timestamp(1_795_449_604, 0).unwrap();
//! let start = FetchStart::new(1, asked, known.events());
//! let object = json!({"id": "sub_1", "status": "active"});
//! let answer = Answer {
//!     subscription: Subscription::from_object(&object),
//!     at: DateTime::from_timestamp(1_795_449_605, 0).unwrap(),
//! };
//! let known = known.answered(&start, answer);
//! let current = known.current().unwrap();
//! assert_eq!((current.subscription.status.as_str(), current.needs_refetch), ("active", false));
//! ```

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use serde::{Deserialize, Serialize};

use crate::json::Second;
use crate::order::{Group, Phase, SubscriptionState};
use crate::subscription::Subscription;

/// The start of a fetch, taken before the request: its number orders answers, the rest says what the answer contains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchStart {
    number: i64,
    asked: DateTime<Utc>,
    basis: Basis,
}

impl FetchStart {
    /// A start with `number`, which must be greater than any before, of a subscription of which `known` are the events so
    /// far. `asked` is the present by the ledger's clock: an event that was received before needs no fetch of its own.
    #[must_use]
    pub fn new(number: i64, asked: DateTime<Utc>, known: &SubscriptionState) -> Self {
        let events = known.events().map(str::to_owned).collect();
        Self { number, asked, basis: Basis { group: known.group(), events } }
    }

    pub(crate) const fn number(&self) -> i64 {
        self.number
    }
}

/// The events that an answer is known to contain, and with them all that came before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Basis {
    group: Group,
    events: BTreeSet<String>,
}

impl Basis {
    fn covers(&self, events: &SubscriptionState) -> bool {
        self.group == events.group() && events.events().all(|event| self.events.contains(event))
    }
}

/// An answer of Stripe about a subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The subscription; `None` if Stripe knows none of that identifier.
    pub subscription: Option<Subscription>,
    /// The time by Stripe's clock when the answer was made. It bounds the moment of reading from above.
    pub at: DateTime<Utc>,
}

/// The answer that counts, as stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Fetched {
    fetch_number: i64,
    asked: DateTime<Utc>,
    basis: Basis,
    answered: Second,
    subscription: Option<Subscription>,
    /// Whether the latest answer was that there is no such subscription.
    missing: bool,
    /// The last time before which an answer showed it alive and not past due.
    settled: Option<Second>,
    /// The start of its present run of `past_due`, as far as answers tell.
    past_due_since: Option<Second>,
}

impl Fetched {
    /// When the question was asked, by the ledger's clock.
    pub(crate) const fn asked(&self) -> DateTime<Utc> {
        self.asked
    }

    fn ended(&self) -> bool {
        let status = self.subscription.as_ref().map(|subscription| &subscription.status);
        status.is_some_and(|status| Phase::of(status) == Phase::Ended)
    }
}

/// All that is known of one subscription.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KnownSubscription {
    events: SubscriptionState,
    fetched: Option<Fetched>,
}

/// The current state of a subscription, by all that is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Current<'k> {
    /// The snapshot that counts.
    pub subscription: &'k Subscription,
    /// Whether only Stripe knows the state, and has not been asked since: two events of one second disagree, or one was
    /// cut short.
    pub needs_refetch: bool,
    /// Whether Stripe was asked and knows no such subscription.
    pub missing: bool,
    /// The start of the present run of `past_due`, which further failures do not move.
    pub past_due_since: Option<DateTime<Utc>>,
    /// When that was so. Stands in for a start that the snapshot does not tell.
    pub seen: DateTime<Utc>,
}

impl From<SubscriptionState> for KnownSubscription {
    fn from(events: SubscriptionState) -> Self {
        Self { events, fetched: None }
    }
}

impl KnownSubscription {
    pub(crate) const fn stored(events: SubscriptionState, fetched: Option<Fetched>) -> Self {
        Self { events, fetched }
    }

    pub(crate) const fn fetched(&self) -> Option<&Fetched> {
        self.fetched.as_ref()
    }

    /// The state by its events.
    #[must_use]
    pub const fn events(&self) -> &SubscriptionState {
        &self.events
    }

    /// Joins another set of its events.
    #[must_use]
    pub fn join(self, events: SubscriptionState) -> Self {
        Self { events: self.events.join(events), fetched: self.fetched }
    }

    /// Adds Stripe's answer to the fetch that `start` began. It changes nothing if the answer to a later fetch is known.
    #[must_use]
    pub fn answered(mut self, start: &FetchStart, answer: Answer) -> Self {
        if self.fetched.as_ref().is_some_and(|fetched| fetched.fetch_number >= start.number) {
            return self;
        }
        let in_run = self.current().and_then(|current| current.past_due_since).map(Second::of);
        let answered = Second::of(answer.at);
        let previous = self.fetched.take();
        let settled_before = previous.as_ref().and_then(|previous| previous.settled);
        self.fetched = Some(match (answer.subscription, previous) {
            // The row is kept, and the next answer may find it.
            (None, Some(previous)) => Fetched {
                fetch_number: start.number,
                asked: start.asked,
                missing: true,
                ..previous
            },
            // The end is the end, also for an answer from a replica that has not heard of it.
            (Some(new), Some(previous))
                if previous.ended() && Phase::of(&new.status) != Phase::Ended =>
            {
                Fetched {
                    fetch_number: start.number,
                    asked: start.asked,
                    missing: false,
                    ..previous
                }
            }
            (new, _) => {
                let status = new.as_ref().map(|new| &new.status);
                let past_due = status == Some(&SubscriptionStatus::PastDue);
                let settles =
                    !past_due && status.is_some_and(|status| Phase::of(status) == Phase::Live);
                let group = start.basis.group;
                Fetched {
                    fetch_number: start.number,
                    asked: start.asked,
                    basis: start.basis.clone(),
                    answered,
                    missing: new.is_none(),
                    settled: settled_before.max(settles.then(|| Second::of(group.created()))),
                    past_due_since: past_due.then(|| in_run.unwrap_or(answered)),
                    subscription: new,
                }
            }
        });
        self
    }

    /// The current state; `None` as long as nothing is known.
    #[must_use]
    pub fn current(&self) -> Option<Current<'_>> {
        let answer = self.fetched.as_ref().and_then(|fetched| {
            fetched.subscription.as_ref().map(|subscription| (fetched, subscription))
        });
        let group = self.events.group();
        let (subscription, ambiguous, seen) = match (self.events.believed(), answer) {
            (None, None) => return None,
            (None, Some((fetched, answer))) => (answer, false, fetched.answered.into()),
            (Some(believed), None) => (believed.subscription, believed.ambiguous, group.created()),
            (Some(believed), Some((fetched, answer))) => {
                let by_answer = |ambiguous| (answer, ambiguous, fetched.answered.into());
                let by_events = (believed.subscription, believed.ambiguous, group.created());
                let phase = Phase::of(&answer.status);
                if phase != group.phase() {
                    if phase > group.phase() { by_answer(false) } else { by_events }
                } else if fetched.basis.covers(&self.events) {
                    by_answer(false)
                } else if Second::of(group.created()) > fetched.answered {
                    by_events
                } else {
                    by_answer(true)
                }
            }
        };
        let missing = self.fetched.as_ref().is_some_and(|fetched| fetched.missing);
        let past_due = subscription.status == SubscriptionStatus::PastDue;
        Some(Current {
            subscription,
            // Another fetch would not help if Stripe does not know it.
            needs_refetch: (ambiguous || subscription.truncated) && !missing,
            missing,
            past_due_since: past_due.then(|| self.run().map_or(seen, DateTime::from)),
            seen,
        })
    }

    /// The start of the run of `past_due`, by events and answers.
    fn run(&self) -> Option<Second> {
        let fetched = self.fetched.as_ref();
        let by_events = self.events.past_due_since(fetched.and_then(|fetched| fetched.settled));
        let by_answer = fetched
            .and_then(|fetched| fetched.past_due_since)
            .filter(|since| self.events.settled().is_none_or(|settled| *since > settled));
        by_events.into_iter().chain(by_answer).min()
    }
}

#[cfg(test)]
mod tests;
