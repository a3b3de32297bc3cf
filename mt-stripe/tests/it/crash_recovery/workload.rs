//! Random events, and the state that they must lead to.

use std::collections::BTreeMap;

use mt_core::billing::BillingState;
use mt_stripe::event::{Effect, Event};
use mt_stripe::invoice::InvoiceState;
use mt_stripe::known::KnownSubscription;
use mt_stripe::order::SubscriptionState;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{World, invoice, subscription};
use test_support::stripe_input::project;

/// A seeded random number generator.
pub(super) struct Random(TestRng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.0.next_u32()).unwrap() % n
    }
}

/// The events of one run, and their customers.
pub(super) struct Workload {
    pub(super) events: Vec<Value>,
    /// The customers with their tenants. The first fifth is linked late.
    pub(super) customers: Vec<(String, Uuid)>,
}

const STATUSES: [&str; 6] = ["incomplete", "trialing", "active", "past_due", "unpaid", "canceled"];

impl Workload {
    pub(super) fn new(customers: usize, events: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let customers: Vec<_> =
            (0..customers).map(|number| (format!("cus_{number}"), Uuid::now_v7())).collect();
        let events = (0..events).map(|number| {
            let (customer, _) = &customers[number % customers.len()];
            // Few seconds for many events, so that several share one.
            let (id, at) = (format!("evt_{number}"), i64::try_from(random.below(12)).unwrap());
            match random.below(5) {
                0 => {
                    let kind = ["invoice.payment_failed", "invoice.paid"][random.below(2)];
                    let mut event = invoice(&id, customer, kind, at);
                    let number = random.below(3);
                    event["data"]["object"]["id"] = json!(format!("in_{customer}_{number}"));
                    event["data"]["object"]["attempt_count"] = json!(1 + random.below(2));
                    event
                }
                _ => subscription(&id, customer, STATUSES[random.below(STATUSES.len())], at),
            }
        });
        let events = events.collect();
        Self { events, customers }
    }

    pub(super) fn is_late(&self, customer: &str) -> bool {
        let place = self.customers.iter().position(|(name, _)| name == customer);
        place.is_some_and(|place| place < self.customers.len() / 5)
    }

    /// The expected state of each tenant, as a pure function of the events.
    pub(super) fn expected_states(&self) -> BTreeMap<Uuid, BillingState> {
        self.customers
            .iter()
            .map(|(customer, tenant)| (*tenant, self.of_customer(customer)))
            .collect()
    }

    fn of_customer(&self, customer: &str) -> BillingState {
        let mut subscriptions = BTreeMap::<String, SubscriptionState>::new();
        let mut invoices = BTreeMap::<String, InvoiceState>::new();
        for event in &self.events {
            let event = Event::parse(event.to_string().as_bytes()).unwrap();
            if event.customer() != Some(customer) {
                continue;
            }
            let (id, created) = (event.object_id().unwrap().to_owned(), event.created().unwrap());
            match event.effect() {
                Effect::Subscription(seen) => {
                    let seen = SubscriptionState::of(seen, event.id(), created);
                    let known = subscriptions.remove(&id).unwrap_or_default();
                    subscriptions.insert(id, known.join(seen));
                }
                Effect::Invoice(seen) => {
                    let seen = InvoiceState::of(seen, created);
                    let joined = match invoices.remove(&id) {
                        Some(known) => known.join(seen),
                        None => seen,
                    };
                    invoices.insert(id, joined);
                }
                other => panic!("not in the workload: {other:?}"),
            }
        }
        let subscriptions: Vec<KnownSubscription> =
            subscriptions.into_values().map(KnownSubscription::from).collect();
        let invoices: Vec<InvoiceState> = invoices.into_values().collect();
        project(&subscriptions, &invoices, &World::config().prices)
    }

    /// The messages that must have been sent: for failed payments of invoices that were not paid.
    pub(super) fn expected_messages(&self) -> Vec<String> {
        let object = |event: &Value, name: &str| event["data"]["object"][name].clone();
        let paid: Vec<Value> = self
            .events
            .iter()
            .filter(|event| event["type"] == "invoice.paid")
            .map(|event| object(event, "id"))
            .collect();
        let mut expected_messages: Vec<String> = self
            .events
            .iter()
            .filter(|event| event["type"] == "invoice.payment_failed")
            .filter(|event| !paid.contains(&object(event, "id")))
            .map(|event| {
                let invoice = object(event, "id").as_str().unwrap().to_owned();
                format!("dunning:{invoice}:{}", object(event, "attempt_count"))
            })
            .collect();
        expected_messages.sort();
        expected_messages.dedup();
        expected_messages
    }
}
