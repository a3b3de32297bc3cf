use std::collections::HashMap;
use std::num::NonZeroU32;

use futures_util::poll;
use proptest::prelude::*;

use super::limits::Limits;
use super::queue::{Asked, Queue, Ticket};
use super::*;
use crate::id::{PrincipalId, TenantId};

fn member(tenant: TenantId, principal: PrincipalId) -> Requester {
    Requester::Member { tenant, principal, priority: Priority::Normal }
}

fn owner(tenant: TenantId) -> Requester {
    let principal = PrincipalId::generate();
    Requester::Member { tenant, principal, priority: Priority::Owner }
}

/// Puts a request into the queue that has to wait.
fn wait(queue: &mut Queue, who: &Requester) -> Ticket {
    match queue.ask(who) {
        Asked::Waits { ticket, evicted: None } => ticket,
        other => panic!("{who:?}: {other:?}"),
    }
}

/// Takes the seat of `who` back, and says who has it then.
fn give_back(queue: &mut Queue, who: &Requester) -> Option<Ticket> {
    queue.give_back(who);
    let next = queue.grant_next();
    assert_eq!(queue.grant_next(), None);
    next
}

#[test]
fn one_member_gets_a_third_of_the_tenants_seats_and_others_the_rest() {
    let mut queue = Queue::new(Limits::of(16));
    let (tenant, hog) = (TenantId::generate(), PrincipalId::generate());
    for _ in 0..4 {
        assert_eq!(queue.ask(&member(tenant, hog)), Asked::Granted);
    }
    wait(&mut queue, &member(tenant, hog));
    for _ in 0..6 {
        assert_eq!(queue.ask(&member(tenant, PrincipalId::generate())), Asked::Granted);
    }
    // Ten of twelve are taken. The last two are for changes to members, and for owners.
    let late = member(tenant, PrincipalId::generate());
    wait(&mut queue, &late);
    let Requester::Member { principal, .. } = late else { unreachable!() };
    let change = Requester::Member { tenant, principal, priority: Priority::MemberChange };
    assert_eq!(queue.ask(&change), Asked::Granted);
    wait(&mut queue, &change);
    assert_eq!(queue.ask(&owner(tenant)), Asked::Granted);
    wait(&mut queue, &owner(tenant));
}

#[test]
fn a_principal_outside_of_tenants_gets_a_sixteenth_and_leaves_the_others_alone() {
    let mut queue = Queue::new(Limits::of(16));
    let hog = Requester::Principal(PrincipalId::generate());
    assert_eq!(queue.ask(&hog), Asked::Granted);
    for _ in 0..16 {
        wait(&mut queue, &hog);
    }
    assert_eq!(queue.ask(&Requester::Anonymous), Asked::Granted);
    let tenant = TenantId::generate();
    assert_eq!(queue.ask(&member(tenant, PrincipalId::generate())), Asked::Granted);
}

#[test]
fn a_principal_of_many_tenants_gets_no_more_than_in_one() {
    let mut queue = Queue::new(Limits::of(16));
    let hog = PrincipalId::generate();
    let granted = (0..20).filter(|_| {
        let Asked::Granted = queue.ask(&member(TenantId::generate(), hog)) else { return false };
        true
    });
    assert_eq!(granted.count(), 4);
    wait(&mut queue, &Requester::Principal(hog));
    assert_eq!(queue.ask(&member(TenantId::generate(), PrincipalId::generate())), Asked::Granted);
    // The queue of one principal is one, too.
    let waits = |queue: &mut Queue, who| matches!(queue.ask(&who), Asked::Waits { .. });
    let waiting = (0..200).filter(|_| waits(&mut queue, Requester::Principal(hog)));
    assert_eq!(waiting.count(), 128 - 17);
    assert!(!queue.has_room(&member(TenantId::generate(), hog)));
}

#[test]
fn one_seat_can_be_what_two_wait_for() {
    let mut queue = Queue::new(Limits::of(16));
    let (tenant, hog) = (TenantId::generate(), PrincipalId::generate());
    for _ in 0..4 {
        assert_eq!(queue.ask(&member(tenant, hog)), Asked::Granted);
    }
    for _ in 0..6 {
        assert_eq!(queue.ask(&member(tenant, PrincipalId::generate())), Asked::Granted);
    }
    let elsewhere = wait(&mut queue, &Requester::Principal(hog));
    let here = wait(&mut queue, &member(tenant, PrincipalId::generate()));
    queue.give_back(&member(tenant, hog));
    let mut granted = [queue.grant_next(), queue.grant_next()];
    granted.sort();
    assert_eq!((granted, queue.grant_next()), ([Some(elsewhere), Some(here)], None));
}

#[test]
fn all_together_leave_connections_for_the_system() {
    let mut queue = Queue::new(Limits::of(16));
    let anyone = || Requester::Principal(PrincipalId::generate());
    let granted = (0..100).filter(|_| queue.ask(&anyone()) == Asked::Granted).count();
    assert_eq!(granted, 14);
}

#[test]
fn who_has_fewer_seats_goes_first_and_then_who_was_served_longest_ago() {
    let mut queue = Queue::new(Limits::of(16).per_tenant(NonZeroU32::new(1)));
    let (tenant, hog) =
        (TenantId::generate(), member(TenantId::generate(), PrincipalId::generate()));
    let Requester::Member { principal, .. } = hog else { unreachable!() };
    let (hog, newcomer) = (member(tenant, principal), member(tenant, PrincipalId::generate()));
    assert_eq!(queue.ask(&hog), Asked::Granted);
    let first = wait(&mut queue, &hog);
    let second = wait(&mut queue, &hog);
    let late = wait(&mut queue, &newcomer);
    // Although two requests of the other came before.
    assert_eq!(give_back(&mut queue, &hog), Some(late));
    assert_eq!(give_back(&mut queue, &newcomer), Some(first));
    assert_eq!(give_back(&mut queue, &hog), Some(second));
    assert_eq!(give_back(&mut queue, &hog), None);
}

#[test]
fn a_tenant_with_fewer_seats_goes_before_one_with_more() {
    let mut queue = Queue::new(Limits::of(4));
    let (noisy, quiet) = (TenantId::generate(), TenantId::generate());
    let crowd: Vec<_> = (0..3).map(|_| owner(noisy)).collect();
    for who in &crowd {
        assert_eq!(queue.ask(who), Asked::Granted);
    }
    wait(&mut queue, &owner(noisy));
    let late = wait(&mut queue, &member(quiet, PrincipalId::generate()));
    assert_eq!(give_back(&mut queue, &crowd[0]), Some(late));
}

#[test]
fn a_request_that_has_left_is_served_no_more() {
    let mut queue = Queue::new(Limits::of(1));
    let (a, b) = (owner(TenantId::generate()), owner(TenantId::generate()));
    assert_eq!(queue.ask(&a), Asked::Granted);
    let (first, second) = (wait(&mut queue, &a), wait(&mut queue, &b));
    assert!(queue.leave(&b, second));
    assert!(!queue.leave(&b, second));
    assert_eq!(give_back(&mut queue, &a), Some(first));
}

#[test]
fn queues_are_bounded_and_a_crowded_one_makes_room_for_those_with_less() {
    let limits = Limits { waiting_of_one: 4, waiting_of_tenant: 6, ..Limits::of(1) };
    let mut queue = Queue::new(limits);
    let tenant = TenantId::generate();
    let people: Vec<_> = (0..4).map(|_| member(tenant, PrincipalId::generate())).collect();
    assert_eq!(queue.ask(&people[0]), Asked::Granted);
    let hogs: Vec<_> = (0..4).map(|_| wait(&mut queue, &people[0])).collect();
    assert!(!queue.has_room(&people[0]));
    assert_eq!(queue.ask(&people[0]), Asked::Refused);
    wait(&mut queue, &people[1]);
    wait(&mut queue, &people[1]);
    // The queue of the tenant is full.
    assert!(queue.has_room(&people[2]));
    let evicted = |asked| match asked {
        Asked::Waits { evicted, .. } => evicted,
        other => panic!("{other:?}"),
    };
    assert_eq!(evicted(queue.ask(&people[2])), Some(hogs[3]), "the newest of those with the most");
    assert_eq!(evicted(queue.ask(&people[3])), Some(hogs[2]));
    assert_eq!(queue.waiting(), 6);
    // Two, two, one and one wait: who has one already gets no second place.
    assert_eq!(queue.ask(&people[2]), Asked::Refused);
    assert!(!queue.has_room(&people[2]));
    assert_eq!(evicted(queue.ask(&owner(tenant))), None, "an owner waits all the same");
    assert_eq!(queue.waiting(), 7);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    GiveBack(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..14_usize).prop_map(Step::Ask),
        any::<usize>().prop_map(Step::GiveBack),
        any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    /// Whatever happens: no share is exceeded, no seat is idle that a request waits for, nothing is left.
    #[test]
    fn shares_hold_and_no_seat_is_idle(
        connections in 1..20_u32,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let limits = Limits { waiting_of_one: 3, waiting_of_tenant: 7, ..Limits::of(connections) };
        let mut queue = Queue::new(limits);
        let tenants = [TenantId::generate(), TenantId::generate()];
        let mut cast = vec![Requester::Anonymous, Requester::Principal(PrincipalId::generate())];
        for tenant in tenants {
            for priority in [Priority::Owner, Priority::MemberChange, Priority::Normal] {
                for _ in 0..2 {
                    let principal = PrincipalId::generate();
                    cast.push(Requester::Member { tenant, principal, priority });
                }
            }
        }
        let mut seated: Vec<Requester> = Vec::new();
        let mut waiting: Vec<(Ticket, Requester)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(who) => match queue.ask(&cast[who]) {
                    Asked::Granted => seated.push(cast[who]),
                    Asked::Waits { ticket, evicted } => {
                        waiting.retain(|(other, _)| Some(*other) != evicted);
                        waiting.push((ticket, cast[who]));
                    }
                    Asked::Refused => {}
                },
                Step::GiveBack(index) if !seated.is_empty() => {
                    let who = seated.swap_remove(index % seated.len());
                    queue.give_back(&who);
                    while let Some(next) = queue.grant_next() {
                        let place = waiting.iter().position(|(other, _)| *other == next).unwrap();
                        seated.push(waiting.remove(place).1);
                    }
                }
                Step::Leave(index) if !waiting.is_empty() => {
                    let (ticket, who) = waiting.swap_remove(index % waiting.len());
                    prop_assert!(queue.leave(&who, ticket));
                }
                Step::GiveBack(_) | Step::Leave(_) => {}
            }
            prop_assert_eq!(usize::try_from(queue.in_use()).unwrap(), seated.len());
            prop_assert_eq!(queue.waiting(), waiting.len());
            prop_assert!(queue.in_use() <= limits.all);
            let mut each: HashMap<String, u32> = HashMap::new();
            for who in &seated {
                *each.entry(format!("{who:?}")).or_default() += 1;
            }
            for who in &seated {
                let count = each[&format!("{who:?}")];
                let most = match who {
                    Requester::Member { .. } => limits.principal,
                    Requester::Principal(_) => limits.outside,
                    Requester::Anonymous => limits.anonymous,
                };
                prop_assert!(count <= most, "{who:?} has {count}");
            }
            for tenant in tenants {
                let of = seated.iter().filter(
                    |who| matches!(who, Requester::Member { tenant: of, .. } if *of == tenant),
                );
                prop_assert!(of.count() <= usize::try_from(limits.tenant).unwrap());
            }
            // Asked anew, none of those who wait would be given a seat.
            for (_, who) in &waiting {
                let mut again = queue.clone();
                prop_assert!(again.ask(who) != Asked::Granted, "{who:?} waits for a free seat");
            }
        }
        for (ticket, who) in waiting.drain(..) {
            prop_assert!(queue.leave(&who, ticket));
        }
        for who in seated.drain(..) {
            prop_assert_eq!(give_back(&mut queue, &who), None);
        }
        prop_assert!(queue.is_empty());
    }
}

#[tokio::test]
async fn a_seat_goes_to_who_waits_and_back_when_it_is_dropped() {
    let shares = Shares::of(1);
    let (a, b) = (owner(TenantId::generate()), owner(TenantId::generate()));
    let seat = shares.seat(a).await.unwrap();
    let mut waiting = Box::pin(shares.seat(b));
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!((shares.stats().in_use, shares.stats().waiting), (1, 1));
    drop(seat);
    let seat = waiting.await.unwrap();
    assert_eq!((shares.stats().in_use, shares.stats().waiting), (1, 0));
    drop(seat);
    assert_eq!(shares.stats(), ShareStats { in_use: 0, waiting: 0, refused: 0 });
}

/// Whether it is dropped before or after it was given a seat.
#[tokio::test]
async fn a_dropped_wait_keeps_no_seat() {
    let shares = Shares::of(1);
    let who = || owner(TenantId::generate());
    for dropped_first in [true, false] {
        let seat = shares.seat(who()).await.unwrap();
        let mut waiting = Box::pin(shares.seat(who()));
        let mut behind = Box::pin(shares.seat(who()));
        assert!(poll!(&mut waiting).is_pending() && poll!(&mut behind).is_pending());
        if dropped_first {
            drop(waiting);
            drop(seat);
        } else {
            drop(seat);
            drop(waiting);
        }
        drop(behind.await.unwrap());
        assert_eq!((shares.stats().in_use, shares.stats().waiting), (0, 0));
        assert!(shares.state().waiting.is_empty());
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_says_so_before() {
    let shares = Shares::of(1);
    let who = Requester::Principal(PrincipalId::generate());
    let _seat = shares.seat(who).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..128 {
        shares.check(who).unwrap();
        let mut wait = Box::pin(shares.seat(who));
        assert!(poll!(&mut wait).is_pending());
        waiting.push(wait);
    }
    assert_eq!(shares.check(who), Err(NoSeat));
    assert_eq!(shares.seat(who).await.err(), Some(NoSeat));
    assert_eq!(shares.stats().refused, 2);
    shares.check(Requester::Anonymous).unwrap();
    drop(waiting.pop());
    shares.check(who).unwrap();
}

#[tokio::test]
async fn who_loses_a_place_in_the_queue_is_told() {
    let limits = Limits { waiting_of_tenant: 3, ..Limits::of(1) };
    let shares = Shares::new(limits);
    let tenant = TenantId::generate();
    let (hog, other) = (member(tenant, PrincipalId::generate()), owner(tenant));
    let _seat = shares.seat(other).await.unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(shares.seat(hog))).collect();
    for wait in &mut waiting {
        assert!(poll!(wait).is_pending());
    }
    let mut late = Box::pin(shares.seat(member(tenant, PrincipalId::generate())));
    assert!(poll!(&mut late).is_pending());
    assert_eq!(waiting.pop().unwrap().await.err(), Some(NoSeat));
    assert!(poll!(&mut waiting[0]).is_pending());
    assert_eq!((shares.stats().waiting, shares.stats().refused), (3, 1));
}
