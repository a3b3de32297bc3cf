//! The same events in the API versions of ten years lead to the same state.
//!
//! The fixtures are made here from a fact and a version. What is around the fields that are read is
//! what objects of that time have, so that a reader who trips over something would trip here.

mod render;

use mt_core::billing::{BillingState, PriceTable};
use mt_stripe::event::{Effect, Event};
use mt_stripe::invoice::InvoiceState;
use mt_stripe::known::KnownSubscription;
use mt_stripe::order::SubscriptionState;
use serde_json::{Map, Value, json};

use self::render::{END, Fact, VERSIONS, Version};
use crate::support::START;
use test_support::stripe_input::project;

/// What `updated` says of the fact before: the fields that changed, where the version has them.
fn previous(version: Version, before: &Fact, after: &Fact) -> Value {
    let (before, after) = (version.subscription(before), version.subscription(after));
    let changed: Map<String, Value> = before
        .as_object()
        .unwrap()
        .iter()
        .filter(|(field, value)| after.get(*field) != Some(*value))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    Value::Object(changed)
}

/// Created, then two changes in one second of which the names say the opposite, and two invoices.
fn story(version: Version) -> Vec<Value> {
    let facts = [
        Fact { status: "active", price: "price_basic", ends: false },
        Fact { status: "active", price: "price_pro", ends: false },
        Fact { status: "past_due", price: "price_pro", ends: true },
    ];
    let updated = |id: &str, before: &Fact, after: &Fact| {
        version.envelope(
            id,
            "customer.subscription.updated",
            START + 5,
            &version.subscription(after),
            &previous(version, before, after),
        )
    };
    vec![
        version.envelope(
            "evt_created",
            "customer.subscription.created",
            START,
            &version.subscription(&facts[0]),
            &Value::Null,
        ),
        updated("evt_z", &facts[0], &facts[1]),
        updated("evt_a", &facts[1], &facts[2]),
        version.envelope(
            "evt_paid",
            "invoice.paid",
            START + 1,
            &version.invoice("in_1", "paid", START),
            &Value::Null,
        ),
        version.envelope(
            "evt_failed",
            "invoice.payment_failed",
            START + 6,
            &version.invoice("in_2", "open", START + 5),
            &Value::Null,
        ),
    ]
}

fn prices() -> PriceTable {
    PriceTable::new("free").plan("basic", ["price_basic"]).plan("pro", ["price_pro"])
}

#[derive(Debug, PartialEq)]
struct Read {
    known: KnownSubscription,
    invoices: Vec<InvoiceState>,
    with_snapshots: BillingState,
    with_invoices_alone: BillingState,
}

fn read(version: Version) -> Read {
    let (mut known, mut invoices) = (KnownSubscription::default(), Vec::new());
    for event in story(version) {
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        assert_eq!(event.customer(), Some("cus_1"), "{version:?}");
        let created = event.created().unwrap();
        match event.effect() {
            Effect::Subscription(change) => {
                let seen = SubscriptionState::of(change, event.id(), created);
                known = known.join(seen);
            }
            Effect::Invoice(invoice) => invoices.push(InvoiceState::of(invoice, created)),
            other => panic!("{version:?}: {other:?}"),
        }
    }
    let with_snapshots = project(std::slice::from_ref(&known), &invoices, &prices());
    let with_invoices_alone = project(&[], &invoices, &prices());
    Read { known, invoices, with_snapshots, with_invoices_alone }
}

#[test]
fn every_api_version_gives_the_same_state() {
    let newest = read(Version::Endive);
    let state = &newest.with_snapshots;
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "past_due"));
    assert_eq!(state.current_period_end.unwrap().timestamp(), END);
    assert_eq!(state.past_due_since.unwrap().timestamp(), START + 5);
    assert!(state.cancel_at_period_end && state.flags.is_empty(), "{state:?}");
    let alone = &newest.with_invoices_alone;
    assert_eq!((alone.plan.as_str(), alone.status.as_str()), ("pro", "past_due"));
    for version in VERSIONS {
        let read = read(version);
        assert_eq!(read.known, newest.known, "{version:?}");
        assert_eq!(read.invoices, newest.invoices, "{version:?}");
        assert_eq!(read.with_snapshots, newest.with_snapshots, "{version:?}");
        assert_eq!(read.with_invoices_alone, newest.with_invoices_alone, "{version:?}");
    }
}

/// An endpoint whose version was changed half way sends both shapes.
#[test]
fn api_versions_can_change_between_events() {
    let stories: Vec<Vec<Value>> = VERSIONS.into_iter().map(story).collect();
    let expected = read(Version::Endive).known;
    for shift in 0..VERSIONS.len() {
        let known = (0..3).fold(KnownSubscription::default(), |known, step| {
            let event = &stories[(step + shift) % VERSIONS.len()][step];
            let event = Event::parse(event.to_string().as_bytes()).unwrap();
            let Effect::Subscription(change) = event.effect() else { panic!("{event:?}") };
            let created = event.created().unwrap();
            known.join(SubscriptionState::of(change, event.id(), created))
        });
        assert_eq!(known, expected, "shifted by {shift}");
    }
}

/// The control: a reader who knows the newest version only finds neither plan nor period in the oldest.
#[test]
fn api_versions_differ_in_the_fields_that_are_read() {
    let reads = |place: &str| {
        VERSIONS.map(|version| {
            let subscription =
                version.subscription(&Fact { status: "active", price: "price_pro", ends: true });
            let found = subscription.pointer(place).is_some_and(|value| !value.is_null());
            found && subscription.pointer(place) != Some(&json!(false))
        })
    };
    assert_eq!(reads("/items/data/0/price/id"), [false, true, true, true]);
    assert_eq!(reads("/items/data/0/current_period_end"), [false, false, true, true]);
    assert_eq!(reads("/plan/id"), [true, true, false, false]);
    assert_eq!(reads("/cancel_at_period_end"), [true, true, true, false]);
    let invoice = |place: &str| {
        VERSIONS.map(|version| version.invoice("in_1", "paid", START).pointer(place).is_some())
    };
    assert_eq!(invoice("/subscription"), [true, true, false, false]);
    assert_eq!(invoice("/parent/subscription_details/subscription"), [false, false, true, true]);
    assert_eq!(invoice("/status"), [false, true, true, true]);
}

/// Words of next year are data.
#[test]
fn unknown_values_are_kept() {
    // A subscription to a price that is not known counts for nothing, and its flag stays.
    let facts = [("price_pro", "hibernating"), ("price_of_2031", "none")];
    for (version, (price, shown)) in
        VERSIONS.into_iter().flat_map(|version| facts.map(|fact| (version, fact)))
    {
        let fact = Fact { status: "hibernating", price, ends: false };
        let object = version.subscription(&fact);
        let event = version.envelope(
            "evt_1",
            "customer.subscription.updated",
            START,
            &object,
            &json!({"a_field_of_2031": {"deep": [1, 2]}}),
        );
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let Effect::Subscription(change) = event.effect() else { panic!("{event:?}") };
        let seen = SubscriptionState::of(change, event.id(), event.created().unwrap());
        let state = project(&[seen.into()], &[], &prices());
        assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", shown));
        assert_eq!(
            state.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>(),
            ["unknown_status"]
        );

        let other = version.envelope(
            "evt_2",
            "customer.subscription.molted",
            START,
            &json!({}),
            &json!(null),
        );
        let other = Event::parse(other.to_string().as_bytes()).unwrap();
        assert!(matches!(other.effect(), Effect::None("unhandled_type")));
    }
}
