//! The join of subscription events in Postgres, compared with the join in Rust on random events.
//!
//! Delivered one by one in random order, and again all at once by many: what is stored must be what the
//! pure join of the same events comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use mt_core::pg::ledger::Ledger;
use mt_stripe::Stripe;
use mt_stripe::event::{Effect, Event};
use mt_stripe::invoice::InvoiceState;
use mt_stripe::order::SubscriptionState;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{START, World, deliver};

/// How many customers, each with a random history.
const CUSTOMERS: usize = 40;

fn subscription_event(customer: String) -> impl Strategy<Value = Value> {
    let word = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let kind = word(&["created", "updated", "updated", "paused", "trial_will_end", "deleted"]);
    let status = word(&["incomplete", "active", "past_due", "past_due", "snoozed", "canceled"]);
    let before = prop::option::of(word(&["active", "past_due", "trialing"]));
    (kind, status, before, 0..4_i64, 0..2_u8, 0..2_u8, any::<u16>()).prop_map(
        move |(kind, status, before, second, price, sub, id)| {
            let mut event = json!({
                "id": format!("evt_{customer}_{id}"), "created": START + second,
                "type": format!("customer.subscription.{kind}"),
                "data": {"object": {
                    "id": format!("sub_{customer}_{sub}"), "customer": customer, "status": status,
                    "items": {"data": [{"price": format!("price_{price}")}]},
                }},
            });
            if let Some(before) = before {
                event["data"]["previous_attributes"] = json!({"status": before});
            }
            event
        },
    )
}

fn invoice_event(customer: String) -> impl Strategy<Value = Value> {
    let kinds =
        vec!["updated", "finalized", "payment_failed", "marked_uncollectible", "voided", "paid"];
    let kind = prop::sample::select(kinds);
    let subscription = prop::option::of(0..4_u8);
    let created = prop::option::of(0..3_i64);
    (kind, subscription, created, 0..4_i64, 0..3_u8, 0..2_u8, any::<u16>()).prop_map(
        move |(kind, subscription, created, second, price, invoice, id)| {
            json!({
                "id": format!("evt_{customer}_i{id}"), "created": START + second,
                "type": format!("invoice.{kind}"),
                "data": {"object": {
                    "id": format!("in_{customer}_{invoice}"), "customer": customer,
                    // Upper and lower case, which some collations put in another order than bytes.
                    "subscription": subscription.map(|n| ["sub_a", "sub_B", "sub_b", "sub_A"][usize::from(n)]),
                    "created": created.map(|second| START + second),
                    "lines": {"data": [{"price": format!("price_{price}")}]},
                }},
            })
        },
    )
}

fn history(customer: &str) -> impl Strategy<Value = Vec<Value>> + use<> {
    let subscription = subscription_event(customer.to_owned());
    let invoice = invoice_event(customer.to_owned());
    (prop::collection::vec(subscription, 1..8), prop::collection::vec(invoice, 0..6)).prop_map(
        |(a, b)| {
            // One identifier has one content.
            let all = a.into_iter().chain(b).map(|event| (event["id"].to_string(), event));
            all.collect::<BTreeMap<_, _>>().into_values().collect()
        },
    )
}

fn histories() -> Vec<Vec<Value>> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..CUSTOMERS)
        .map(|n| {
            let shuffled = history(&format!("cus_{n}")).prop_shuffle();
            shuffled.new_tree(&mut runner).unwrap().current()
        })
        .collect()
}

#[derive(Debug, Default, PartialEq)]
struct States {
    subscriptions: BTreeMap<String, SubscriptionState>,
    invoices: BTreeMap<String, InvoiceState>,
}

/// Joins the events in Rust.
fn in_rust(events: &[Value]) -> States {
    let mut states = States::default();
    for event in events {
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let created = event.created().unwrap();
        match event.effect() {
            Effect::Subscription(change) => {
                let state = states.subscriptions.entry(change.after.id.clone()).or_default();
                let seen = SubscriptionState::of(change, event.id(), created);
                *state = std::mem::take(state).join(seen);
            }
            Effect::Invoice(invoice) => {
                let seen = InvoiceState::of(invoice, created);
                let joined = match states.invoices.remove(&seen.id) {
                    Some(state) => state.join(seen),
                    None => seen,
                };
                states.invoices.insert(joined.id.clone(), joined);
            }
            other => panic!("{other:?}"),
        }
    }
    states
}

/// Reads the state that Postgres has joined.
async fn in_postgres(world: &World) -> States {
    let read = |sql: &'static str| async move {
        let rows: Vec<(String, Value)> =
            sqlx::query_as(sql).fetch_all(world.db.admin()).await.unwrap();
        rows
    };
    let subscriptions = read("select subscription_id, state from mt.subscriptions").await;
    let invoices = read("select invoice_id, state from mt.invoices").await;
    States {
        subscriptions: subscriptions
            .into_iter()
            .map(|(id, state)| (id, serde_json::from_value(state).unwrap()))
            .collect(),
        invoices: invoices
            .into_iter()
            .map(|(id, state)| (id, serde_json::from_value(state).unwrap()))
            .collect(),
    }
}

async fn world() -> (World, Ledger<Stripe>) {
    let world = World::new().await;
    for n in 0..CUSTOMERS {
        world.payer(&format!("cus_{n}")).await;
    }
    let processor = world.processor();
    (world, processor)
}

#[tokio::test]
async fn sql_and_rust_join_agree_on_sequential_events() {
    let (world, processor) = world().await;
    let events: Vec<Value> = histories().into_iter().flatten().collect();
    for event in &events {
        deliver(&processor, event).await;
    }
    let expected = in_rust(&events);
    assert!(expected.subscriptions.len() > CUSTOMERS && expected.invoices.len() > CUSTOMERS);
    let stored = in_postgres(&world).await;
    assert_eq!(stored, expected);

    // Once more, past the ledger's own guard: the statements are idempotent by themselves.
    let before = world.projection().await;
    world.sql("update mt.webhook_events set status = 'received', processed_at = null").await;
    while processor.apply_next_due().await.unwrap() {}
    assert_eq!(world.projection().await, before);

    // The negative control: the same events as the last one to come left them are something else.
    let last = |events: &[Value]| {
        let mut last = States::default();
        for event in events {
            let one = in_rust(std::slice::from_ref(event));
            last.subscriptions.extend(one.subscriptions);
            last.invoices.extend(one.invoices);
        }
        last
    };
    let overwritten = last(&events);
    let differ = |(id, state): (&String, &SubscriptionState)| stored.subscriptions[id] != *state;
    assert!(overwritten.subscriptions.iter().filter(|row| differ(*row)).count() > CUSTOMERS / 2);
    assert_ne!(overwritten.invoices, stored.invoices);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_and_rust_join_agree_on_concurrent_events() {
    let (world, processor) = world().await;
    let processor = Arc::new(processor);
    let events: Vec<Value> = histories().into_iter().flatten().collect();
    let mut senders = JoinSet::new();
    for lane in 0..6 {
        let mine: Vec<Value> = events.iter().skip(lane).step_by(6).cloned().collect();
        let processor = Arc::clone(&processor);
        senders.spawn(async move {
            for event in mine {
                deliver(&processor, &event).await;
            }
        });
    }
    senders.join_all().await;
    while processor.apply_next_due().await.unwrap() {}
    assert_eq!(in_postgres(&world).await, in_rust(&events));
}
