use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::EventKind;

/// Reads the object of an event of this type.
fn read_event(object: &Value, kind: &str) -> Option<Invoice> {
    let kind = EventKind::parse(kind)?;
    Invoice::read(object, kind.invoice_status()?, kind == EventKind::InvoicePaymentFailed)
}

#[test]
fn every_shape_reads_the_same() {
    let read = |mut shape: Value| {
        let fields = shape.as_object_mut().unwrap();
        fields.insert("id".into(), json!("in_1"));
        fields.insert("customer".into(), json!("cus_1"));
        read_event(&shape, "invoice.paid").unwrap()
    };
    let newest = read(json!({
        "parent": {"subscription_details": {"subscription": "sub_1"}},
        "lines": {"data": [{"pricing": {"price_details": {"price": "price_pro"}}}]},
    }));
    assert_eq!(newest.subscription.as_deref(), Some("sub_1"));
    assert_eq!(newest.prices, ["price_pro"]);
    for older in [
        json!({"subscription": {"id": "sub_1"}, "lines": {"data": [{"price": {"id": "price_pro"}}]}}),
        json!({"lines": {"data": [{"subscription": "sub_1", "plan": {"id": "price_pro"}}]}}),
        json!({"parent": null, "lines": {"data": [{
            "parent": {"subscription_item_details": {"subscription": "sub_1"}},
            "pricing": {"price_details": {"price": "price_pro"}},
        }]}}),
    ] {
        assert_eq!(read(older), newest);
    }
}

/// Silence is not a statement: the simple flow's invoices say nothing of a subscription.
#[test]
fn only_an_invoice_that_says_so_is_one_off() {
    let is_one_off = |mut object: Value| {
        object["id"] = json!("in_1");
        let invoice = read_event(&object, "invoice.paid").unwrap();
        InvoiceState::of(invoice, DateTime::UNIX_EPOCH).is_one_off()
    };
    for says_so in [
        json!({"parent": null}),
        json!({"parent": {"type": "quote_details", "quote_details": {"quote": "qt_1"}}}),
        json!({"parent": {"type": "quote_details", "subscription_details": null}}),
        json!({"subscription": null}),
        json!({"billing_reason": "manual"}),
    ] {
        assert!(is_one_off(says_so.clone()), "{says_so}");
    }
    for does_not in [
        json!({}),
        json!({"billing_reason": "subscription_cycle", "parent": null}),
        json!({"parent": {"subscription_details": {"subscription": "sub_1"}}}),
        json!({"parent": {"type": "subscription_details", "subscription_details": {}}}),
        json!({"parent": null, "subscription": "sub_1"}),
        json!({"parent": null, "lines": {"data": [{"subscription": "sub_1"}]}}),
    ] {
        assert!(!is_one_off(does_not.clone()), "{does_not}");
    }
    // An event in one shape says so, and one in another names the subscription.
    let read = |object| read_event(&object, "invoice.paid").unwrap();
    let state = |object| InvoiceState::of(read(object), DateTime::UNIX_EPOCH);
    let silent = state(json!({"id": "in_1", "parent": null}));
    assert!(silent.is_one_off());
    assert!(!silent.join(state(json!({"id": "in_1", "subscription": "sub_1"}))).is_one_off());
}

#[test]
fn the_type_and_the_object_both_speak() {
    let status = |kind: &str, mut object: Value| {
        object["id"] = json!("in_1");
        read_event(&object, kind).unwrap().status
    };
    for (kind, object, expected) in [
        ("invoice.updated", json!({"status": "open"}), InvoiceStatus::Open),
        ("invoice.updated", json!({"status": "frozen"}), InvoiceStatus::Draft),
        ("invoice.finalized", json!({}), InvoiceStatus::Open),
        ("invoice.payment_failed", json!({"status": "open"}), InvoiceStatus::Open),
        // Rendered after the payment had been made up for.
        ("invoice.payment_failed", json!({"status": "paid"}), InvoiceStatus::Paid),
        ("invoice.paid", json!({"status": "open"}), InvoiceStatus::Paid),
        ("invoice.payment_succeeded", json!({}), InvoiceStatus::Paid),
        ("invoice.updated", json!({"paid": true}), InvoiceStatus::Paid),
        ("invoice.marked_uncollectible", json!({}), InvoiceStatus::Uncollectible),
        ("invoice.voided", json!({"status": "void"}), InvoiceStatus::Void),
    ] {
        assert_eq!(status(kind, object.clone()), expected, "{kind} {object}");
    }
    assert!(read_event(&json!({"id": "in_1"}), "invoice.upcoming").is_none());
}

fn event() -> impl Strategy<Value = InvoiceState> {
    let status = prop::sample::select(InvoiceStatus::ALL.to_vec());
    let created = prop::option::of(0..2_i64);
    let maker = (0..4_i64, status, 0..4_u8, created, any::<bool>(), any::<bool>());
    maker.prop_map(|(second, status, id, created, failed, one_off)| {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let invoice = Invoice {
            id: "in_1".into(),
            customer: Some("cus_1".into()),
            subscription: (id > 1).then(|| format!("sub_{id}")),
            one_off,
            created: created.map(at),
            prices: vec![format!("price_{id}")],
            status,
            failed,
        };
        InvoiceState::of(invoice, at(second))
    })
}

proptest! {
    #[test]
    fn join_is_a_semilattice(a in event(), b in event(), c in event()) {
        let join = InvoiceState::join;
        prop_assert_eq!(join(a.clone(), a.clone()), a.clone());
        prop_assert_eq!(join(a.clone(), b.clone()), join(b.clone(), a.clone()));
        prop_assert_eq!(join(join(a.clone(), b.clone()), c.clone()), join(a, join(b, c)));
    }
}

/// The same generator finds a rule that asks the clock instead.
#[test]
fn latest_event_is_not_a_semilattice() {
    let invoice = |kind: &str, second: i64| {
        let object = json!({"id": "in_1", "customer": "cus_1"});
        let at = DateTime::from_timestamp(second, 0).unwrap();
        InvoiceState::of(read_event(&object, kind).unwrap(), at)
    };
    let (paid, failed) = (invoice("invoice.paid", 7), invoice("invoice.payment_failed", 7));
    let latest =
        |a: InvoiceState, b: InvoiceState| if b.first_seen >= a.first_seen { b } else { a };
    assert_ne!(latest(paid.clone(), failed.clone()), latest(failed.clone(), paid.clone()));
    assert_eq!(paid.clone().join(failed.clone()), failed.join(paid));
}
