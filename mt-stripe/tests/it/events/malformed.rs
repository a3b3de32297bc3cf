//! Malformed input causes neither a panic while parsing nor an error while storing.
//!
//! The short version of `make fuzz-stripe`.

use mt_stripe::VerifiedEvent;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use test_support::stripe_input;

use crate::support::{START, World};

/// Texts that have been trouble somewhere.
fn text() -> impl Strategy<Value = String> {
    let nasty = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{7f}",
        "null",
        "-1",
        "sub_cus_1",
        "cus_1",
        "price_pro",
        "active",
        "past_due",
        "canceled",
        "paid",
        "'; drop table mt.tenants; --",
        "%s",
        "\u{202e}",
        "\u{1f4a9}",
        "\u{ffff}",
    ];
    prop_oneof![
        4 => prop::sample::select(nasty.map(str::to_owned).to_vec()),
        1 => "\\PC{0,40}",
        1 => (250..300_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    let numbers = [
        json!(0),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(START),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(numbers.to_vec()),
        text().prop_map(Value::from),
    ]
}

/// Any JSON, with the names that are looked for.
fn anything() -> impl Strategy<Value = Value> {
    let names = [
        "id",
        "object",
        "type",
        "data",
        "created",
        "customer",
        "status",
        "items",
        "price",
        "plan",
        "has_more",
        "previous_attributes",
        "parent",
        "subscription_details",
        "subscription",
        "lines",
        "pricing",
        "cancel_at",
        "current_period_end",
        "pause_collection",
        "paid",
        "livemode",
        "account",
        "related_object",
        "snapshot_event",
    ];
    let name =
        prop_oneof![9 => prop::sample::select(names.map(str::to_owned).to_vec()), 1 => text()];
    leaf().prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Something that gets past the envelope and means trouble further in.
fn event() -> impl Strategy<Value = Value> {
    let kinds = [
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.updated",
        "checkout.session.completed",
        "v1.customer.subscription.updated",
    ];
    let status = prop_oneof![1 => leaf(), 3 => Just(json!("active"))];
    let priced = json!({"data": [{"price": {"id": "price_pro"}}]});
    let items = prop_oneof![1 => anything(), 1 => Just(Value::Null), 2 => Just(priced)];
    let object = prop_oneof![
        anything(),
        (items, anything(), anything(), status).prop_map(|(items, lines, other, status)| json!({
            "id": "sub_cus_1", "customer": "cus_1", "status": status, "items": items,
            "lines": lines, "parent": other, "pause_collection": other, "created": other,
        })),
    ];
    let envelope = prop::sample::select(vec!["event", "v2.core.event"]);
    let created = prop_oneof![4 => Just(json!(START)), 1 => leaf()];
    (text(), prop::sample::select(kinds.to_vec()), object, anything(), envelope, created).prop_map(
        |(id, kind, object, previous, envelope, created)| {
            json!({
                "id": format!("e{id}"), "type": kind, "created": created, "object": envelope,
                "data": {"object": object, "previous_attributes": previous},
                "related_object": {"id": previous, "type": "subscription"},
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_event_panics(event in event()) {
        stripe_input::parse(event.to_string().as_bytes());
    }

    #[test]
    fn no_json_panics(json in anything()) {
        stripe_input::parse(json.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        stripe_input::parse(&bytes);
        stripe_input::verify(&bytes, b"{}");
    }

    #[test]
    fn no_header_panics(
        header in "((t|v1|v0|V1|)=?[0-9a-f+. \u{e9}-]{0,70},?){0,6}",
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        stripe_input::verify(header.as_bytes(), &body);
    }
}

#[test]
fn depth_is_bounded() {
    for depth in [100, 127, 128, 100_000] {
        let open = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        stripe_input::parse(open.as_bytes());
        let inside = format!(r#"{{"id":"e","type":"invoice.paid","data":{{"object":{open}}}}}"#);
        stripe_input::parse(inside.as_bytes());
    }
}

/// A verified event is stored, and applied or put aside with a reason; the sender hears of no error.
#[tokio::test]
async fn every_event_can_be_stored() {
    let world = World::new().await;
    world.payer("cus_1").await;
    let processor = world.processor();
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (strategy, mut stored) = (event(), 0);
    for _ in 0..400 {
        let body = strategy.new_tree(&mut runner).unwrap().current().to_string().into_bytes();
        let Ok(verified) = VerifiedEvent::insecure_unsigned(body.clone()) else { continue };
        let id = verified.event().id().to_owned();
        processor.receive(verified).await.unwrap();
        let reason = world.event(&id).await.1;
        assert_ne!(reason.as_deref(), Some("database"), "{}", String::from_utf8_lossy(&body));
        stored += 1;
    }
    assert!(stored > 200, "{stored} stored");
    let (kinds, subscriptions): (i64, i64) = sqlx::query_as(
        "select count(distinct status), (select count(*) from mt.subscriptions) from mt.webhook_events",
    )
    .fetch_one(world.db.admin())
    .await
    .unwrap();
    assert!(kinds >= 2 && subscriptions >= 1, "{kinds} {subscriptions}");
}
