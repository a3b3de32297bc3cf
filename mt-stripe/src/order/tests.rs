use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// One event of a subscription's life: what it shows, and when it was made.
#[derive(Clone, Debug)]
struct Step {
    status: &'static str,
    kind: &'static str,
    price: u8,
    created: i64,
    id: String,
}

impl Step {
    fn state(&self) -> SubscriptionState {
        let snapshot = Subscription {
            id: "sub_1".into(),
            customer: Some("cus_1".into()),
            status: SubscriptionStatus::from_word(self.status),
            prices: vec![format!("price_{}", self.price)],
            started: None,
            current_period_end: None,
            cancel_at_period_end: false,
            collection_paused: false,
            truncated: false,
        };
        let created = DateTime::from_timestamp(self.created, 0).unwrap();
        SubscriptionState::of(snapshot, self.kind, &self.id, created)
    }
}

/// A life in the order in which it happened. Half of the steps fall into the second of the one
/// before, as bursts at Stripe do.
fn life() -> impl Strategy<Value = Vec<Step>> {
    let statuses = prop::sample::select(vec![
        "active", "past_due", "past_due", "trialing", "unpaid", "paused", "snoozed",
    ]);
    let step = (statuses, 0..3_u8, prop::sample::select(vec![0, 0, 1, 60]), any::<u32>());
    let end = prop::sample::select(vec![None, Some("deleted"), Some("updated")]);
    (any::<bool>(), prop::collection::vec(step, 1..8), end).prop_map(|(waits, steps, end)| {
        let mut created = 1_795_449_600;
        let mut made = Vec::new();
        for (at, (status, price, pause, random)) in steps.into_iter().enumerate() {
            created += pause;
            let (kind, status) = match at {
                0 => ("customer.subscription.created", if waits { "incomplete" } else { status }),
                _ => ("customer.subscription.updated", status),
            };
            // Identifiers tell nothing about order.
            made.push(Step { status, kind, price, created, id: format!("evt_{random:08x}_{at}") });
        }
        if let Some(end) = end {
            let (kind, status) = match end {
                "deleted" => ("customer.subscription.deleted", "canceled"),
                _ => ("customer.subscription.updated", "incomplete_expired"),
            };
            made.push(Step { status, kind, price: 0, created, id: "evt_0000_end".into() });
        }
        made
    })
}

/// A life and two ways for it to be delivered: any order, any event up to three times.
fn deliveries() -> impl Strategy<Value = (Vec<Step>, Vec<Step>, Vec<Step>)> {
    life().prop_flat_map(|life| {
        let often = |life: &[Step]| {
            let copies = prop::collection::vec(1..4_usize, life.len());
            let life = life.to_vec();
            copies
                .prop_map(move |copies| -> Vec<Step> {
                    let each = life.iter().zip(copies);
                    each.flat_map(|(step, n)| vec![step.clone(); n]).collect()
                })
                .prop_shuffle()
        };
        (Just(life.clone()), often(&life), often(&life))
    })
}

fn fold(steps: &[Step]) -> SubscriptionState {
    steps.iter().map(Step::state).reduce(SubscriptionState::join).unwrap()
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_end_the_same((life, one, other) in deliveries()) {
        let expected = fold(&life);
        prop_assert_eq!(&fold(&one), &expected);
        prop_assert_eq!(&fold(&other), &expected);
        prop_assert_eq!(fold(&one).past_due_since(), expected.past_due_since());
    }

    #[test]
    fn join_is_a_semilattice((_, one, _) in deliveries(), cut in any::<prop::sample::Index>()) {
        // Joins of whole histories, not of single events only.
        let (left, right) = one.split_at(cut.index(one.len()));
        prop_assume!(!left.is_empty() && !right.is_empty());
        let (a, b, c) = (fold(left), fold(right), one[0].state());
        let join = SubscriptionState::join;
        prop_assert_eq!(join(a.clone(), a.clone()), a.clone());
        prop_assert_eq!(join(a.clone(), b.clone()), join(b.clone(), a.clone()));
        prop_assert_eq!(
            join(join(a.clone(), b.clone()), c.clone()),
            join(a, join(b, c))
        );
    }

    /// Where the believed snapshot is not the last one, the flag says so.
    #[test]
    fn a_wrong_guess_is_flagged((life, one, _) in deliveries()) {
        let state = fold(&one);
        let last = life.last().unwrap().state();
        prop_assert!(state.digest() == last.digest() || state.needs_refetch());
    }

    /// The incremental flag and run are what their definitions say over the whole set.
    #[test]
    fn flag_and_run_match_their_definitions((life, one, _) in deliveries()) {
        let state = fold(&one);
        let events: Vec<SubscriptionState> = life.iter().map(Step::state).collect();
        let seen: BTreeSet<[u8; 32]> = events
            .iter()
            .filter(|e| (e.key.phase, e.key.created) == (state.key.phase, state.key.created))
            .map(SubscriptionState::digest)
            .collect();
        prop_assert_eq!(state.ambiguous, seen.len() > 1);

        let settled = events.iter().filter_map(|e| e.settled).max();
        let run = events.iter().filter(|e| !e.past_due.is_empty()).map(|e| e.key.created);
        let start = run.filter(|at| settled.is_none_or(|settled| *at > settled)).min();
        let expected = (state.snapshot.status == SubscriptionStatus::PastDue)
            .then(|| start.unwrap_or(state.key.created));
        prop_assert_eq!(state.past_due_since(), expected);
    }
}

/// How other implementations choose, by what they were seen to do. Each must fail on the same
/// generator, or it proves nothing about ours.
#[test]
fn the_usual_rules_depend_on_the_order() {
    type Rule = fn(&Step, &Step) -> bool;
    let rules: [(&str, Rule); 3] = [
        ("blind overwrite", |_, _| true),
        ("created <", |row, new| row.created < new.created),
        ("created <=", |row, new| row.created <= new.created),
    ];
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let samples: Vec<_> =
        (0..300).map(|_| deliveries().new_tree(&mut runner).unwrap().current()).collect();

    let steps: usize = samples.iter().map(|(life, ..)| life.len() - 1).sum();
    let shared = samples
        .iter()
        .flat_map(|(life, ..)| life.windows(2))
        .filter(|pair| pair[0].created == pair[1].created)
        .count();
    assert!(shared * 10 >= steps * 3, "{shared} of {steps} steps share a second");

    for (name, newer) in rules {
        let run = |steps: &[Step]| {
            let mut row = steps[0].clone();
            for step in steps {
                if newer(&row, step) {
                    row = step.clone();
                }
            }
            row.state().snapshot
        };
        let diverged = samples.iter().filter(|(_, one, other)| run(one) != run(other)).count();
        assert!(diverged * 10 > samples.len(), "`{name}` diverged {diverged} times only");
    }
}
