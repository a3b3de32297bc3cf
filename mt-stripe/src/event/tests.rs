use serde_json::json;

use super::*;

fn parse(event: &Value) -> Event {
    Event::parse(&serde_json::to_vec(event).unwrap()).unwrap()
}

#[test]
fn a_bare_envelope_is_enough() {
    let event = parse(&json!({"id": "evt_1", "type": "x", "api_version": null}));
    assert_eq!((event.created(), event.account(), event.customer()), (None, None, None));
    assert!(!event.livemode());
    assert!(matches!(event.effect(), Effect::None("unhandled_type")));
    assert_eq!(event.flaw(), None);
}

/// One flaw at a time, in events of every type that is applied; and the same events without it.
#[test]
fn what_an_event_lacks_is_named_and_nothing_of_the_event() {
    let subscription = json!({"id": "sub_1", "customer": "cus_1", "status": "active",
        "items": {"data": [{"price": {"id": "price_pro"}}]}});
    let owned = json!({"id": "in_1", "customer": "cus_1"});
    let customer = json!({"id": "cus_1", "object": "customer"});
    let handled = [
        ("customer.subscription.updated", subscription),
        ("customer.subscription.deleted", json!({"id": "sub_1", "customer": "cus_1"})),
        ("invoice.paid", owned.clone()),
        ("checkout.session.completed", owned),
        ("customer.deleted", customer),
    ];
    let flaw = |kind: &str, created: Value, object: &Value| {
        let event = json!({"id": "evt_1", "type": kind, "created": created,
            "data": {"object": object}});
        parse(&event).flaw()
    };
    let without = |object: &Value, field: &str| {
        let mut object = object.clone();
        object.as_object_mut().unwrap().remove(field);
        object
    };
    let with = |object: &Value, field: &str, value: Value| {
        let mut object = object.clone();
        object[field] = value;
        object
    };
    for (kind, object) in &handled {
        assert_eq!(flaw(kind, json!(7), object), None, "{kind}");
        for created in [Value::Null, json!("soon"), json!(-1), json!(u64::MAX)] {
            assert_eq!(flaw(kind, created, object), Some("it has no usable `created`"));
        }
        for nothing in [Value::Null, json!([]), json!("sub_1")] {
            assert_eq!(flaw(kind, json!(7), &nothing), Some("it has no object"), "{kind}");
        }
        let nameless = flaw(kind, json!(7), &without(object, "id"));
        assert!(nameless.unwrap().ends_with("has no `id`"), "{kind}: {nameless:?}");
        if object.get("customer").is_some() {
            let lost = Some("the object has no usable `customer`");
            assert_eq!(flaw(kind, json!(7), &without(object, "customer")), lost, "{kind}");
            assert_eq!(flaw(kind, json!(7), &with(object, "customer", json!(5))), lost);
            // Says that there is none: nothing is wrong with it, and it concerns no tenant.
            assert_eq!(flaw(kind, json!(7), &with(object, "customer", Value::Null)), None);
        }
    }
    let (kind, subscription) = &handled[0];
    for (field, value, expected) in [
        ("status", Value::Null, "the subscription has no usable `status`"),
        ("status", json!(5), "the subscription has no usable `status`"),
        ("items", json!("x"), "the subscription has no list of `items`"),
        ("items", json!({"data": {}}), "the subscription has no list of `items`"),
        ("items", json!({"data": [{"price": 5}]}), "an item of the subscription has no price"),
    ] {
        let object = with(subscription, field, value);
        assert_eq!(flaw(kind, json!(7), &object), Some(expected), "{object}");
    }
    // A status of next year, and a subscription from before items were: data, and no flaw.
    let strange = with(subscription, "status", json!("snoozed"));
    assert_eq!(flaw(kind, json!(7), &strange), None);
    let old = with(&without(subscription, "items"), "plan", json!({"id": "price_pro"}));
    assert_eq!(flaw(kind, json!(7), &old), None);
    assert_eq!(flaw("customer.created", Value::Null, &Value::Null), None);
}

#[test]
fn an_event_needs_an_identifier_and_a_type() {
    for body in [
        json!([]),
        json!("evt_1"),
        json!({"type": "x"}),
        json!({"id": "", "type": "x"}),
        json!({"id": 1, "type": "x"}),
        json!({"id": "a\0", "type": "x"}),
        json!({"id": "evt_1"}),
    ] {
        let refused = Event::parse(&serde_json::to_vec(&body).unwrap()).unwrap_err();
        assert!(matches!(refused, EventError::NotAnEvent(_)), "{body}");
    }
    for body in [&b"hello"[..], b"", b"\xef\xbb\xbf{}", b"{\"id\":\"\xff\"}", b"{} {}"] {
        assert!(matches!(Event::parse(body).unwrap_err(), EventError::BadJson(_)));
    }
}

#[test]
fn a_thin_event_is_recognised_and_asks_for_nothing() {
    let event = parse(&json!({
        "id": "evt_1", "object": "v2.core.event",
        "type": "v1.customer.subscription.updated", "created": "2026-11-23T16:00:00Z",
        "livemode": true, "related_object": {"id": "sub_1", "type": "subscription"},
    }));
    assert!(event.is_thin() && event.livemode());
    assert_eq!(event.object_id(), Some("sub_1"));
    assert_eq!(event.created(), DateTime::from_timestamp(1_795_449_600, 0));
    assert!(matches!(event.effect(), Effect::None("thin_event")));
    assert_eq!((event.dedupe_key(), event.asks_about()), ("evt_1", Some("sub_1")));
}

#[test]
fn only_a_thin_event_about_a_subscription_is_a_hint() {
    let hint = |object: &str, related: Value| {
        let event = parse(&json!({
            "id": "evt_1", "object": object, "type": "x", "related_object": related,
            "snapshot_event": "evt_0",
        }));
        (event.asks_about().map(str::to_owned), event.dedupe_key().to_owned())
    };
    let about = |kind: &str| json!({"id": "sub_1", "type": kind});
    let [own, twin] = ["evt_1".to_owned(), "evt_0".to_owned()];
    assert_eq!(hint("v2.core.event", about("subscription")), (Some("sub_1".into()), twin.clone()));
    assert_eq!(hint("v2.core.event", about("invoice")), (None, twin.clone()));
    assert_eq!(hint("v2.core.event", json!(null)), (None, twin));
    // An ordinary event cannot borrow another's name.
    assert_eq!(hint("event", about("subscription")), (None, own));
}

#[test]
fn the_customer_is_the_owner_or_the_object() {
    let about =
        |object: Value| parse(&json!({"id": "evt_1", "type": "x", "data": {"object": object}}));
    let owned = about(json!({"id": "sub_1", "customer": {"id": "cus_1"}}));
    assert_eq!(owned.customer(), Some("cus_1"));
    let itself = about(json!({"id": "cus_2", "object": "customer"}));
    assert_eq!(itself.customer(), Some("cus_2"));
}
