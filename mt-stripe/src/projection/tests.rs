use serde_json::json;

use super::*;
use crate::invoice::Invoice;
use crate::order::SubscriptionState;
use crate::subscription::SubscriptionChange;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_449_600 + second, 0).unwrap()
}

fn table() -> PriceTable {
    PriceTable::new("free").plan("pro", ["price_pro"]).plan("scale", ["price_scale"])
}

fn subscription(id: &str, status: &str, price: &str, started: i64) -> KnownSubscription {
    let object = json!({
        "id": id, "customer": "cus_1", "status": status, "created": at(started).timestamp(),
        "items": {"data": [{"price": price}]},
    });
    let change = SubscriptionChange::read(&object, None, false).unwrap();
    SubscriptionState::of(change, "customer.subscription.updated", "evt_1", at(started)).into()
}

const PAID: &str = "invoice.paid";
const FAILED: &str = "invoice.payment_failed";

fn invoice(id: &str, kind: &str, second: i64, of: Option<&str>) -> InvoiceState {
    let object = json!({
        "id": id, "customer": "cus_1", "created": at(second).timestamp(), "subscription": of,
    });
    InvoiceState::of(Invoice::read(&object, kind).unwrap(), at(second))
}

#[test]
fn the_plan_by_status() {
    for (status, plan, flag) in [
        ("trialing", "pro", None),
        ("active", "pro", None),
        ("past_due", "pro", None),
        ("unpaid", "pro", None),
        ("paused", "pro", None),
        ("incomplete", "free", None),
        ("incomplete_expired", "free", None),
        ("canceled", "free", None),
        ("snoozed", "free", Some(Flag::UnknownStatus)),
    ] {
        let state = project(&[subscription("sub_1", status, "price_pro", 0)], &[], &table());
        assert_eq!((state.plan.as_str(), state.status.as_str()), (plan, status));
        assert_eq!(state.flags, flag.into_iter().collect(), "{status}");
    }
    let state = project(&[], &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "none"));
}

#[test]
fn an_unknown_price_buys_nothing_and_is_flagged() {
    let state = project(&[subscription("sub_1", "active", "price_2019", 0)], &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "active"));
    assert_eq!(state.flags, BTreeSet::from([Flag::UnmappedPrice]));
}

#[test]
fn of_several_the_entitling_the_higher_the_newer_decides() {
    let decided = |a: KnownSubscription, b: KnownSubscription| {
        let (one, other) = ([a.clone(), b.clone()], [b, a]);
        let state = project(&one, &[], &table());
        assert_eq!(state, project(&other, &[], &table()));
        format!("{} {}", state.plan, state.status)
    };
    let sub = subscription;
    let old_ended =
        decided(sub("sub_1", "canceled", "price_pro", 9), sub("sub_2", "active", "price_pro", 0));
    assert_eq!(old_ended, "pro active");
    let higher =
        decided(sub("sub_1", "active", "price_pro", 9), sub("sub_2", "active", "price_scale", 0));
    assert_eq!(higher, "scale active");
    let newer = decided(
        sub("sub_1", "canceled", "price_pro", 0),
        sub("sub_2", "incomplete_expired", "price_pro", 9),
    );
    assert_eq!(newer, "free incomplete_expired");
}

#[test]
fn invoices_speak_until_a_snapshot_is_known() {
    let paid = invoice("in_1", PAID, 0, Some("sub_1"));
    let failed = invoice("in_2", FAILED, 60, Some("sub_1"));

    let state = project(&[], std::slice::from_ref(&paid), &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "active"));

    let state = project(&[], &[failed.clone(), paid.clone()], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "past_due"));
    assert_eq!(state.past_due_since, Some(at(60)));

    let known = subscription("sub_1", "canceled", "price_pro", 0);
    let state = project(&[known], &[failed, paid], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "canceled"));

    // One invoice beside a subscription is not about it.
    let single = invoice("in_3", FAILED, 90, None);
    let known = subscription("sub_1", "active", "price_pro", 0);
    assert_eq!(project(&[known], &[single], &table()).status, SubscriptionStatus::Active);
}

#[test]
fn paid_wins_the_second_and_retries_do_not_move_the_start() {
    let paid = invoice("in_1", PAID, 0, None);
    let failed = invoice("in_2", FAILED, 0, None);
    let state = project(&[], &[failed, paid], &table());
    assert_eq!(state.status, SubscriptionStatus::Active);

    let first = invoice("in_1", FAILED, 10, None);
    let next = invoice("in_2", FAILED, 20, None);
    let state = project(&[], &[next, first], &table());
    assert_eq!(state.past_due_since, Some(at(10)));
}

#[test]
fn an_invoice_that_is_neither_paid_nor_failed_says_nothing() {
    let paid = invoice("in_1", PAID, 0, None);
    for kind in ["invoice.updated", "invoice.finalized", "invoice.voided"] {
        let silent = invoice("in_2", kind, 60, None);
        let state = project(&[], std::slice::from_ref(&silent), &table());
        assert_eq!(state.status, SubscriptionStatus::None, "{kind}");
        let state = project(&[], &[silent, paid.clone()], &table());
        assert_eq!(state.status, SubscriptionStatus::Active, "{kind}");
    }
    // A payment failed, and then the invoice was taken back.
    let failed = invoice("in_2", FAILED, 60, None);
    let void = failed.clone().join(invoice("in_2", "invoice.voided", 70, None));
    assert_eq!(project(&[], &[failed, paid.clone()], &table()).status, SubscriptionStatus::PastDue);
    assert_eq!(project(&[], &[void, paid], &table()).status, SubscriptionStatus::Active);
}

#[test]
fn paused_collection_and_a_pending_end_change_neither_status_nor_plan() {
    let object = json!({
        "id": "sub_1", "customer": "cus_1", "status": "active", "cancel_at_period_end": true,
        "pause_collection": {"behavior": "void", "resumes_at": null},
        "items": {"data": [{"price": "price_pro", "current_period_end": at(99).timestamp()}]},
    });
    let change = SubscriptionChange::read(&object, None, false).unwrap();
    let known = SubscriptionState::of(change, "customer.subscription.updated", "evt_1", at(0));
    let state = project(&[known.into()], &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "active"));
    assert!(state.collection_paused && state.cancel_at_period_end);
    assert_eq!(state.current_period_end, Some(at(99)));
}
