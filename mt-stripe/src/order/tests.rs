//! Properties of the join over random lives, and the usual rules as controls that must fail.

use mt_core::billing::{BillingState, PriceTable};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::event::EventKind;
use crate::known::KnownSubscription;
use crate::snapshot::project;

/// One event of a subscription's life: what it shows, and when it was made.
#[derive(Clone, Debug)]
struct Step {
    subscription: &'static str,
    status: &'static str,
    kind: &'static str,
    price: u8,
    created: i64,
    id: String,
    /// What the step before showed, where this one tells.
    before: Option<(&'static str, u8)>,
}

impl Step {
    fn shows(&self, status: &str, price: u8) -> Subscription {
        Subscription {
            id: self.subscription.into(),
            customer: Some("cus_1".into()),
            status: SubscriptionStatus::from_word(status),
            prices: vec![format!("price_{price}")],
            started: None,
            current_period_end: None,
            cancel_at_period_end: false,
            collection_paused: false,
            truncated: false,
        }
    }

    fn state(&self) -> SubscriptionState {
        let kind = EventKind::parse(self.kind).expect("a type that is applied");
        let change = SubscriptionChange {
            rank: kind.rank().expect("a type of subscription events"),
            after: self.shows(self.status, self.price),
            before: self.before.map(|(status, price)| self.shows(status, price)),
        };
        SubscriptionState::of(change, &self.id, self.at())
    }

    fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.created, 0).unwrap()
    }
}

/// How much events tell of what they replaced.
#[derive(Clone, Copy, Debug)]
enum Tells {
    /// Every change, as Stripe does.
    All,
    /// Nothing, as the oldest API versions do.
    None,
}

/// A life in the order in which it happened. Half of the steps fall into the second of the one
/// before, as bursts at Stripe do.
fn life(subscription: &'static str, tells: Tells) -> impl Strategy<Value = Vec<Step>> {
    let statuses = prop::sample::select(vec![
        "active", "past_due", "past_due", "trialing", "unpaid", "paused", "snoozed",
    ]);
    let step = (statuses, 0..3_u8, prop::sample::select(vec![0, 0, 1, 60]), any::<u32>());
    let end = prop::sample::select(vec![None, Some("deleted"), Some("updated")]);
    (any::<bool>(), prop::collection::vec(step, 1..8), end).prop_map(move |(waits, steps, end)| {
        let mut created = 1_795_449_600;
        let mut made: Vec<Step> = Vec::new();
        let add = |made: &mut Vec<Step>, status, kind, price, created, id: String| {
            let before = match (tells, kind) {
                (Tells::All, "customer.subscription.updated") => {
                    made.last().map(|last| (last.status, last.price))
                }
                _ => None,
            };
            // Identifiers tell nothing about order.
            made.push(Step { subscription, status, kind, price, created, id, before });
        };
        for (at, (status, price, pause, random)) in steps.into_iter().enumerate() {
            created += pause;
            let (kind, status) = match at {
                0 => ("customer.subscription.created", if waits { "incomplete" } else { status }),
                _ => ("customer.subscription.updated", status),
            };
            add(&mut made, status, kind, price, created, format!("evt_{random:08x}_{at}"));
        }
        if let Some(end) = end {
            let (kind, status) = match end {
                "deleted" => ("customer.subscription.deleted", "canceled"),
                _ => ("customer.subscription.updated", "incomplete_expired"),
            };
            add(&mut made, status, kind, 0, created, "evt_0000_end".into());
        }
        made
    })
}

/// A life and two ways for it to be delivered: any order, any event up to three times.
fn deliveries(
    life: impl Strategy<Value = Vec<Step>>,
) -> impl Strategy<Value = (Vec<Step>, Vec<Step>, Vec<Step>)> {
    life.prop_flat_map(|life| {
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

fn told() -> impl Strategy<Value = (Vec<Step>, Vec<Step>, Vec<Step>)> {
    deliveries(life("sub_1", Tells::All))
}

fn fold(steps: &[Step]) -> SubscriptionState {
    steps.iter().map(Step::state).fold(SubscriptionState::default(), SubscriptionState::join)
}

/// The billing state of the tenant whose subscriptions these steps are about.
fn org(steps: &[Step]) -> BillingState {
    let mut all: BTreeMap<&str, SubscriptionState> = BTreeMap::new();
    for step in steps {
        let state = all.remove(step.subscription).unwrap_or_default().join(step.state());
        all.insert(step.subscription, state);
    }
    let known: Vec<_> = all.into_values().map(KnownSubscription::from).collect();
    project(&known, &[], &PriceTable::new("free").plan("pro", ["price_0"]).plan("max", ["price_1"]))
}

proptest! {
    /// The row, its flag and the start of its run.
    #[test]
    fn any_order_and_any_repetition_end_the_same((life, one, other) in told()) {
        let expected = fold(&life);
        prop_assert_eq!(&fold(&one), &expected);
        prop_assert_eq!(&fold(&other), &expected);
        let state = fold(&one);
        prop_assert_eq!(state.believed(), expected.believed());
    }

    /// The tenant, with two subscriptions whose events are mixed.
    #[test]
    fn the_tenant_depends_on_no_order(
        (life, one, other) in deliveries(
            (life("sub_1", Tells::All), life("sub_2", Tells::None))
                .prop_map(|(a, b)| a.into_iter().chain(b).collect::<Vec<_>>())
        ),
    ) {
        let expected = org(&life);
        prop_assert_eq!(&org(&one), &expected);
        prop_assert_eq!(&org(&other), &expected);
    }

    #[test]
    fn join_is_a_semilattice((_, one, _) in told(), cut in any::<prop::sample::Index>()) {
        // Joins of whole histories, not of single events only.
        let (left, right) = one.split_at(cut.index(one.len()));
        let (a, b, c) = (fold(left), fold(right), one[0].state());
        let join = SubscriptionState::join;
        prop_assert_eq!(join(a.clone(), a.clone()), a.clone());
        prop_assert_eq!(join(a.clone(), SubscriptionState::default()), a.clone());
        prop_assert_eq!(join(a.clone(), b.clone()), join(b.clone(), a.clone()));
        prop_assert_eq!(join(join(a.clone(), b.clone()), c.clone()), join(a, join(b, c)));
    }

    /// Where the believed snapshot is not the last one, the flag says so.
    #[test]
    fn a_wrong_guess_is_flagged(
        (life, one, _) in prop_oneof![told().boxed(), deliveries(life("sub_1", Tells::None)).boxed()],
    ) {
        let state = fold(&one);
        let (believed, last) = (state.believed().unwrap(), life.last().unwrap());
        let right = *believed.subscription == last.shows(last.status, last.price);
        prop_assert!(right || believed.ambiguous);
    }

    /// The incremental group and run are what their definitions say over the whole set.
    #[test]
    fn group_and_run_match_their_definitions((life, one, _) in told()) {
        let state = fold(&one);
        let events: Vec<SubscriptionState> = life.iter().map(Step::state).collect();
        let group = events.iter().map(SubscriptionState::group).max().unwrap();
        let of_group: BTreeSet<&str> =
            events.iter().filter(|e| e.group == group).flat_map(SubscriptionState::events).collect();
        prop_assert_eq!(state.group(), group);
        prop_assert_eq!(state.events().collect::<BTreeSet<_>>(), of_group);

        let settled = events.iter().filter_map(|e| e.settled).max();
        let run = events.iter().filter(|e| !e.past_due.is_empty()).map(|e| e.group.1);
        let start = run.filter(|at| settled.is_none_or(|settled| *at > settled)).min();
        prop_assert_eq!(state.past_due_since(None), start);
    }

    #[test]
    fn a_state_survives_its_json((_, one, _) in told()) {
        let state = fold(&one);
        let json = serde_json::to_value(&state).unwrap();
        prop_assert_eq!(serde_json::from_value::<SubscriptionState>(json).unwrap(), state);
    }
}

fn samples(tells: Tells) -> Vec<(Vec<Step>, Vec<Step>, Vec<Step>)> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let lives = deliveries(life("sub_1", tells));
    (0..1000).map(|_| lives.new_tree(&mut runner).unwrap().current()).collect()
}

/// How other implementations choose, by what they were seen to do. Each must fail on the same
/// generator, or it proves nothing about ours.
#[test]
fn the_usual_rules_depend_on_the_order() {
    type Rule = fn(&Step, &Step) -> bool;
    let rules: [(&str, Rule); 4] = [
        ("blind overwrite", |_, _| true),
        ("created <", |row, new| row.created < new.created),
        ("created <=", |row, new| row.created <= new.created),
        ("never revive what has ended", |row, _| {
            Phase::of(&SubscriptionStatus::from_word(row.status)) != Phase::Ended
        }),
    ];
    let samples = samples(Tells::All);
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
            row.shows(row.status, row.price)
        };
        let diverged = samples.iter().filter(|(_, one, other)| run(one) != run(other)).count();
        assert!(diverged * 10 > samples.len(), "`{name}` diverged {diverged} times only");
    }
}

/// What `previous_attributes` is good for: fewer questions to Stripe, and none that was needed is lost.
#[test]
fn what_an_event_replaced_settles_most_seconds() {
    let flagged = |tells| {
        let samples = samples(tells);
        samples.iter().filter(|(_, one, _)| fold(one).believed().unwrap().ambiguous).count()
    };
    let (with, without) = (flagged(Tells::All), flagged(Tells::None));
    assert!(with > 0 && with * 2 < without, "{with} with, {without} without");
}

fn second(steps: &[(&'static str, &'static str, Option<&'static str>)]) -> (String, bool) {
    let steps: Vec<Step> = steps
        .iter()
        .enumerate()
        .map(|(at, (kind, status, before))| Step {
            subscription: "sub_1",
            status,
            kind,
            price: 0,
            created: 1_795_449_600,
            // The last to happen is the least by name.
            id: format!("evt_{}", 9 - at),
            before: before.map(|status| (status, 0)),
        })
        .collect();
    let state = fold(&steps);
    let believed = state.believed().unwrap();
    (believed.subscription.status.to_string(), believed.ambiguous)
}

#[test]
fn one_second_by_hand() {
    const CREATED: &str = "customer.subscription.created";
    const UPDATED: &str = "customer.subscription.updated";
    const SOON: &str = "customer.subscription.trial_will_end";
    const RESUMED: &str = "customer.subscription.resumed";
    let told = |status: &str| (status.to_owned(), false);
    let guess = |status: &str| (status.to_owned(), true);
    for (steps, expected) in [
        (&[(CREATED, "trialing", None), (UPDATED, "active", Some("trialing"))][..], told("active")),
        // Says nothing of what it replaced.
        (&[(CREATED, "trialing", None), (UPDATED, "active", None)], guess("active")),
        // A chain of three, of which the names say the opposite.
        (
            &[
                (CREATED, "trialing", None),
                (UPDATED, "active", Some("trialing")),
                (UPDATED, "past_due", Some("active")),
            ],
            told("past_due"),
        ),
        // There and back: each was replaced by the other.
        (
            &[(UPDATED, "past_due", Some("active")), (UPDATED, "active", Some("past_due"))],
            guess("past_due"),
        ),
        // What announces may be older than its second, and never wins.
        (&[(SOON, "trialing", None), (UPDATED, "active", Some("trialing"))], told("active")),
        (&[(UPDATED, "active", None), (SOON, "trialing", None)], guess("active")),
        // Came after what the other replaced, as far as anybody can tell.
        (&[(UPDATED, "paused", Some("active")), (RESUMED, "active", None)], guess("paused")),
        // The same status twice is not ambiguous.
        (&[(UPDATED, "paused", Some("active")), (RESUMED, "paused", None)], told("paused")),
    ] {
        assert_eq!(second(steps), expected, "{steps:?}");
    }
}
