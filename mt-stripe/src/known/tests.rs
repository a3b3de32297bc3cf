//! What answers count against events and against each other.

use proptest::prelude::*;

use super::*;
use crate::order::Rank;
use crate::subscription::SubscriptionChange;

const START: i64 = 1_795_449_600;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(START + second, 0).unwrap()
}

fn shows(status: &str) -> Subscription {
    let object = serde_json::json!({"id": "sub_1", "customer": "cus_1", "status": status});
    Subscription::from_object(&object).unwrap()
}

fn event(id: &str, status: &str, second: i64) -> SubscriptionState {
    let change = SubscriptionChange { rank: Rank::Changed, after: shows(status), before: None };
    SubscriptionState::of(change, id, at(second))
}

fn answer(status: &str, second: i64) -> Answer {
    Answer { subscription: Some(shows(status)), at: at(second) }
}

fn start(number: i64, known: &KnownSubscription) -> FetchStart {
    FetchStart::new(number, at(number), known.events())
}

const NONE: fn(i64) -> Answer = |second| Answer { subscription: None, at: at(second) };

/// Two events of one second that disagree.
fn unclear() -> KnownSubscription {
    KnownSubscription::from(event("evt_a", "active", 5)).join(event("evt_b", "trialing", 5))
}

/// The status, and `?` where Stripe is to be asked.
fn now(known: &KnownSubscription) -> String {
    let current = known.current().unwrap();
    let status = current.subscription.status.as_str();
    let [asks, missing] = [(current.needs_refetch, "?"), (current.missing, "!")]
        .map(|(is, mark)| if is { mark } else { "" });
    format!("{status}{asks}{missing}")
}

#[test]
fn an_answer_settles_what_was_known_when_it_was_asked_for() {
    let known = unclear();
    assert_eq!(now(&known), "trialing?");
    let start = start(1, &known);
    let settled = known.clone().answered(&start, answer("active", 7));
    assert_eq!(now(&settled), "active");

    // What is late or known already is in the answer.
    for (id, second) in [("evt_0", 4), ("evt_b", 5)] {
        assert_eq!(now(&settled.clone().join(event(id, "trialing", second))), "active", "{id}");
    }
    // Of the same second or up to the answer: may be in it or not.
    for second in 5..=7 {
        assert_eq!(now(&settled.clone().join(event("evt_c", "past_due", second))), "active?");
    }
    // After the answer, whichever of the two was first to arrive.
    let later = event("evt_c", "past_due", 8);
    assert_eq!(now(&settled.join(later.clone())), "past_due");
    assert_eq!(now(&known.join(later).answered(&start, answer("active", 7))), "past_due");
}

#[test]
fn the_later_question_wins_whichever_answer_comes_first() {
    let known = unclear();
    let (first, second) = (start(1, &known), start(2, &known));
    let (old, new) = (answer("trialing", 7), answer("active", 6));
    let in_order = known.clone().answered(&first, old.clone()).answered(&second, new.clone());
    let reversed = known.answered(&second, new).answered(&first, old);
    assert_eq!(in_order, reversed);
    assert_eq!(now(&in_order), "active");
    // The same question again changes nothing.
    assert_eq!(in_order.clone().answered(&second, answer("past_due", 9)), in_order);
}

#[test]
fn the_end_stays_the_end() {
    let known = unclear();
    let ask = |number| start(number, &known);
    let ended = known.clone().answered(&ask(1), answer("canceled", 7));
    assert_eq!(now(&ended), "canceled");
    // An answer from a replica that lags, and an event that was made before.
    assert_eq!(now(&ended.clone().answered(&ask(2), answer("active", 9))), "canceled");
    assert_eq!(now(&ended.join(event("evt_c", "active", 99))), "canceled");
    // An older answer does not change an end that an event told of.
    let told = known.clone().join(event("evt_end", "canceled", 3));
    assert_eq!(now(&told.answered(&ask(3), answer("active", 9))), "canceled");
}

#[test]
fn what_waits_for_its_first_payment_is_overtaken_by_what_lives() {
    let waiting = KnownSubscription::from(event("evt_a", "incomplete", 5));
    let start = start(1, &waiting);
    let live = waiting.clone().answered(&start, answer("active", 6));
    assert_eq!(now(&live.join(event("evt_b", "incomplete", 6))), "active");
    let asked = waiting.answered(&start, answer("incomplete", 9));
    assert_eq!(now(&asked.join(event("evt_c", "active", 6))), "active");
}

#[test]
fn what_stripe_does_not_know_is_kept_and_flagged() {
    let known = unclear();
    let ask = |number| start(number, &known);
    let missing = known.clone().answered(&ask(1), NONE(7));
    assert_eq!(now(&missing), "trialing!");
    assert_eq!(now(&missing.clone().answered(&ask(2), answer("active", 8))), "active");
    let seen = known.clone().answered(&ask(1), answer("active", 7)).answered(&ask(2), NONE(8));
    assert_eq!(now(&seen), "active!");
    assert_eq!(KnownSubscription::default().answered(&ask(1), NONE(7)).current(), None);
}

#[test]
fn an_answer_alone_is_enough() {
    let nothing = KnownSubscription::default();
    let start = start(1, &nothing);
    let known = nothing.answered(&start, answer("past_due", 7));
    assert_eq!(now(&known), "past_due");
    assert_eq!(known.current().unwrap().past_due_since, Some(at(7)));
    // Events from before the answer do not take its place, and one from after does.
    assert_eq!(now(&known.clone().join(event("evt_a", "active", 3))), "past_due?");
    assert_eq!(now(&known.join(event("evt_b", "active", 8))), "active");
}

#[test]
fn no_answer_extends_a_run_of_past_due() {
    let since = |known: &KnownSubscription| known.current().unwrap().past_due_since;
    let known = KnownSubscription::from(event("evt_a", "past_due", 5));
    let ask = start;
    let asked = known.clone().answered(&ask(1, &known), answer("past_due", 50));
    let again = asked.clone().answered(&ask(2, &asked), answer("past_due", 90));
    assert_eq!((since(&asked), since(&again)), (Some(at(5)), Some(at(5))));
    // And one that shows it settled ends the run: the next failure begins another.
    let settled = again.clone().answered(&ask(3, &again), answer("active", 95));
    assert_eq!(since(&settled), None);
    let failed = settled.join(event("evt_b", "past_due", 100));
    assert_eq!((now(&failed).as_str(), since(&failed)), ("past_due", Some(at(100))));
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let status =
        prop::sample::select(vec![None, Some("active"), Some("past_due"), Some("canceled")]);
    (status, 0..20_i64)
        .prop_map(|(status, second)| Answer { subscription: status.map(shows), at: at(second) })
}

proptest! {
    /// Events joined before, between or after the answers come to the same, for the starts that they
    /// were asked with.
    #[test]
    fn events_and_answers_commute(
        events in prop::collection::vec(
            (prop::sample::select(vec!["active", "past_due", "trialing", "canceled"]), 0..10_i64), 1..5,
        ),
        answer in any_answer(),
        asked_at in any::<prop::sample::Index>(),
        applied_at in any::<prop::sample::Index>(),
    ) {
        let events: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(n, (status, second))| event(&format!("evt_{n}"), status, *second))
            .collect();
        let known = |n: usize| {
            let all = events[..n].iter().cloned();
            all.fold(KnownSubscription::default(), KnownSubscription::join)
        };
        let asked = asked_at.index(events.len() + 1);
        let start = start(1, &known(asked));
        let applied = asked + applied_at.index(events.len() + 1 - asked);
        let rest = events[applied..].iter().cloned();
        let between = rest.fold(
            known(applied).answered(&start, answer.clone()),
            KnownSubscription::join,
        );
        let after = known(events.len()).answered(&start, answer);
        // The start of a run is the one thing that an answer keeps from what it found.
        let status = |known: &KnownSubscription| known.current().map(|c| {
            (c.subscription.clone(), c.needs_refetch, c.missing)
        });
        prop_assert_eq!(status(&between), status(&after));
    }
}
