use serde_json::json;

use super::*;
use crate::invoice::Invoice;
use crate::subscription::Subscription;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_449_600 + second, 0).unwrap()
}

fn table() -> PriceTable {
    PriceTable::new("free").plan("pro", ["price_pro"]).plan("scale", ["price_scale"])
}

fn subscription(id: &str, status: &str, price: &str, started: i64) -> SubscriptionState {
    let object = json!({
        "id": id, "customer": "cus_1", "status": status, "created": at(started).timestamp(),
        "items": {"data": [{"price": price}]},
    });
    let snapshot = Subscription::read(&object, false).unwrap();
    SubscriptionState::of(snapshot, "customer.subscription.updated", "evt_1", at(started))
}

fn invoice(id: &str, outcome: InvoiceOutcome, second: i64, of: Option<&str>) -> InvoiceState {
    let object = json!({
        "id": id, "customer": "cus_1", "created": at(second).timestamp(), "subscription": of,
    });
    let invoice = Invoice::read(&object, outcome).unwrap();
    InvoiceState::of(invoice, &format!("evt_{id}"), at(second)).unwrap()
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
    let decided = |a: SubscriptionState, b: SubscriptionState| {
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
    let paid = invoice("in_1", InvoiceOutcome::Paid, 0, Some("sub_1"));
    let failed = invoice("in_2", InvoiceOutcome::Failed, 60, Some("sub_1"));

    let state = project(&[], std::slice::from_ref(&paid), &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "active"));

    let state = project(&[], &[failed.clone(), paid.clone()], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "past_due"));
    assert_eq!(state.past_due_since, Some(at(60)));

    let known = subscription("sub_1", "canceled", "price_pro", 0);
    let state = project(&[known], &[failed, paid], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "canceled"));

    // One invoice beside a subscription is not about it.
    let single = invoice("in_3", InvoiceOutcome::Failed, 90, None);
    let known = subscription("sub_1", "active", "price_pro", 0);
    assert_eq!(project(&[known], &[single], &table()).status, SubscriptionStatus::Active);
}

#[test]
fn paid_wins_the_second_and_retries_do_not_move_the_start() {
    let paid = invoice("in_1", InvoiceOutcome::Paid, 0, None);
    let failed = invoice("in_2", InvoiceOutcome::Failed, 0, None);
    let state = project(&[], &[failed, paid], &table());
    assert_eq!(state.status, SubscriptionStatus::Active);

    let first = invoice("in_1", InvoiceOutcome::Failed, 10, None);
    let next = invoice("in_2", InvoiceOutcome::Failed, 20, None);
    let state = project(&[], &[next, first], &table());
    assert_eq!(state.past_due_since, Some(at(10)));
}
