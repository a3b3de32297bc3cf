//! What Stripe's events buy: from events to a tenant's plan.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mt_core::billing::{BillingState, Flag, PriceTable, SubscriptionStatus};
use serde_json::{Value, json};

use super::*;
use crate::event::EventKind;
use crate::invoice::Invoice;
use crate::order::{Rank, SubscriptionState};
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
    let change = SubscriptionChange::read(&object, None, Rank::Changed).unwrap();
    SubscriptionState::of(change, "evt_1", at(started)).into()
}

/// Reads the object of an event of this type.
fn read_event(object: &Value, kind: &str) -> Option<Invoice> {
    let kind = EventKind::parse(kind)?;
    Invoice::read(object, kind.invoice_status()?, kind == EventKind::InvoicePaymentFailed)
}

const PAID: &str = "invoice.paid";
const FAILED: &str = "invoice.payment_failed";

fn invoice(id: &str, kind: &str, second: i64, of: Option<&str>) -> InvoiceState {
    let mut object = json!({"id": id, "customer": "cus_1", "created": at(second).timestamp()});
    if let Some(of) = of {
        object["subscription"] = json!(of);
    }
    InvoiceState::of(read_event(&object, kind).unwrap(), at(second))
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
    let foreign = subscription("sub_1", "active", "price_2019", 0);
    let state = project(std::slice::from_ref(&foreign), &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "none"));
    assert_eq!(state.flags, BTreeSet::from([Flag::UnmappedPrice]));
    // It is not flagged beside a subscription that buys a plan, and is beside one that no longer does.
    for (status, flags) in [
        ("active", BTreeSet::new()),
        ("past_due", BTreeSet::new()),
        ("canceled", BTreeSet::from([Flag::UnmappedPrice])),
    ] {
        let ours = subscription("sub_2", status, "price_pro", 0);
        let state = project(&[foreign.clone(), ours], &[], &table());
        assert_eq!((state.status.as_str(), state.flags), (status, flags));
    }
    // One that shows no price may be ours, and is shown.
    let object = json!({"id": "sub_1", "customer": "cus_1", "status": "past_due"});
    let change = SubscriptionChange::read(&object, None, Rank::Changed).unwrap();
    let bare = SubscriptionState::of(change, "evt_1", at(0));
    let state = project(&[bare.into()], &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "past_due"));
    assert_eq!(state.flags, BTreeSet::from([Flag::UnmappedPrice]));
}

/// With every status that another product's subscription may have, newer and older, and its invoices.
#[test]
fn another_products_subscription_neither_outranks_nor_blocks() {
    let statuses = ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "canceled"];
    let nothing = project(&[], &[], &table());
    for foreign_status in statuses.into_iter().chain(["incomplete_expired", "snoozed"]) {
        for started in [-9, 9] {
            let foreign = subscription("sub_f", foreign_status, "price_other", started);
            let mut bill = invoice("in_f", FAILED, 9, Some("sub_g"));
            bill.prices = BTreeSet::from(["price_other".to_owned()]);
            let alone =
                project(std::slice::from_ref(&foreign), std::slice::from_ref(&bill), &table());
            assert_eq!(
                BillingState { flags: BTreeSet::new(), ..alone },
                nothing,
                "{foreign_status}"
            );
            for status in statuses {
                let ours = subscription("sub_o", status, "price_pro", 0);
                let without = project(std::slice::from_ref(&ours), &[], &table());
                let both = project(&[ours, foreign.clone()], std::slice::from_ref(&bill), &table());
                let both = BillingState { flags: without.flags.clone(), ..both };
                assert_eq!(both, without, "{status} beside {foreign_status}");
            }
            // The simple flow goes on beside it: the first invoice that names none stands in.
            let paid = invoice("in_1", PAID, 0, None);
            let state = project(&[foreign], &[paid, bill], &table());
            assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "active"));
        }
    }
}

#[test]
fn a_one_off_invoice_says_nothing_of_a_plan() {
    let one_off = |id: &str, kind: &str, second: i64| {
        let object = json!({
            "id": id, "customer": "cus_1", "created": at(second).timestamp(), "parent": null,
        });
        InvoiceState::of(read_event(&object, kind).unwrap(), at(second))
    };
    for kind in [PAID, FAILED] {
        let single = one_off("in_1", kind, 60);
        assert_eq!(
            project(&[], std::slice::from_ref(&single), &table()),
            project(&[], &[], &table())
        );
        let simple = invoice("in_2", PAID, 0, None);
        let with = project(&[], &[single.clone(), simple.clone()], &table());
        assert_eq!(with, project(&[], &[simple], &table()));
        let known = [subscription("sub_1", "canceled", "price_pro", 0)];
        assert_eq!(project(&known, &[single], &table()), project(&known, &[], &table()));
    }
    // The control: an invoice that says nothing of a subscription stands in for one.
    assert_eq!(project(&[], &[invoice("in_1", PAID, 60, None)], &table()).plan, "pro");
}

#[test]
fn a_first_payment_that_did_not_come_leaves_a_tenant_as_it_was() {
    for purchase in ["incomplete", "incomplete_expired"] {
        let failed = subscription("sub_2", purchase, "price_pro", 9);
        let alone = project(std::slice::from_ref(&failed), &[], &table());
        assert_eq!((alone.plan.as_str(), alone.status.as_str()), ("free", purchase));
        for status in ["active", "past_due", "unpaid", "paused", "canceled"] {
            let known = subscription("sub_1", status, "price_pro", 0);
            let before = project(std::slice::from_ref(&known), &[], &table());
            assert_eq!(project(&[known, failed.clone()], &[], &table()), before, "{status}");
        }
    }
}

#[test]
fn two_subscriptions_in_force_are_flagged() {
    for (a, b, is_flagged) in [
        ("active", "active", true),
        ("active", "past_due", true),
        ("unpaid", "paused", true),
        ("active", "canceled", false),
        ("active", "incomplete", false),
        ("active", "incomplete_expired", false),
    ] {
        let one = subscription("sub_1", a, "price_pro", 0);
        let other = subscription("sub_2", b, "price_scale", 1);
        let state = project(&[one.clone(), other], &[], &table());
        let flagged = state.flags.contains(&Flag::SeveralSubscriptions);
        assert_eq!(flagged, is_flagged, "{a} and {b}");
        // Another product's is not a second one.
        let foreign = subscription("sub_2", b, "price_other", 1);
        let state = project(&[one, foreign], &[], &table());
        assert!(!state.flags.contains(&Flag::SeveralSubscriptions), "{a} and {b}");
    }
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
    assert_eq!(newer, "free canceled");
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
    let change = SubscriptionChange::read(&object, None, Rank::Changed).unwrap();
    let known = SubscriptionState::of(change, "evt_1", at(0));
    let state = project(&[known.into()], &[], &table());
    assert_eq!((state.plan.as_str(), state.status.as_str()), ("pro", "active"));
    assert!(state.collection_paused && state.cancel_at_period_end);
    assert_eq!(state.current_period_end, Some(at(99)));
}
