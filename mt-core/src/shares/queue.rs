//! The queue of requests for seats. It counts and chooses; it neither waits nor wakes.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::limits::Limits;
use super::party::Party;
use super::requester::{Priority, Requester};
use crate::id::PrincipalId;

/// One request that waits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket(u64);

/// The answer to a request for a seat.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Granted,
    /// It waits, and the request of `evicted` was removed.
    Waits {
        ticket: Ticket,
        evicted: Option<Ticket>,
    },
    /// The queue is full.
    Refused,
}

/// Seats in use, and requests that wait for one.
///
/// INVARIANT: between two calls no request waits for which a seat is free.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    in_use: u32,
    waiting: usize,
    /// Counts grants, to serve the party that was served longest ago.
    turn: u64,
    tickets: u64,
    /// Those with a seat or a request that waits.
    parties: HashMap<Party, PartyState>,
    /// Principals with a seat or a request that waits, in all parties together.
    principals: HashMap<PrincipalId, Counts>,
    /// Those with a request that waits, in the order in which they are served.
    order: BTreeSet<(u32, u64, Party)>,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
struct PartyState {
    in_use: u32,
    served: u64,
    waiting: usize,
    /// Its principals; one without a name where there are none.
    members: HashMap<Option<PrincipalId>, MemberState>,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
struct MemberState {
    in_use: u32,
    served: u64,
    waiting: VecDeque<(Ticket, Priority)>,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
struct Counts {
    in_use: u32,
    waiting: usize,
}

/// A request that waits, by its place in the queue.
struct Place {
    party: Party,
    member: Option<PrincipalId>,
    index: usize,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            in_use: 0,
            waiting: 0,
            turn: 0,
            tickets: 0,
            parties: HashMap::new(),
            principals: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) const fn in_use(&self) -> u32 {
        self.in_use
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns whether no party is counted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.parties.is_empty() && self.principals.is_empty() && self.order.is_empty()
    }

    /// Takes a seat for `who`, or a place in the queue. If a tenant's queue is full, the principal with the most
    /// requests in it loses one, if that is more than `who` would have.
    pub(super) fn ask(&mut self, who: &Requester) -> Asked {
        let (party, member, priority) = who.parts();
        if self.is_free(party, member, priority) {
            self.take(party, member);
            return Asked::Granted;
        }
        if !self.has_room(who) {
            return Asked::Refused;
        }
        let evicted = if self.is_crowded(party, priority) { self.evict(party) } else { None };
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.waiting += 1;
        self.count(member, |counts| counts.waiting += 1);
        self.change(party, |state| {
            state.waiting += 1;
            state.members.entry(member).or_default().waiting.push_back((ticket, priority));
        });
        Asked::Waits { ticket, evicted }
    }

    /// Returns whether a request of `who` may wait.
    pub(super) fn has_room(&self, who: &Requester) -> bool {
        let (party, member, priority) = who.parts();
        let state = self.parties.get(&party);
        let here = state.and_then(|state| state.members.get(&member));
        let here = here.map_or(0, |here| here.waiting.len());
        let own = member.and_then(|id| self.principals.get(&id)).map_or(here, |own| own.waiting);
        let most = state.map_or(0, PartyState::most_waiting);
        own < self.limits.waiting_of_one && (!self.is_crowded(party, priority) || most > here + 1)
    }

    /// Takes the seat of `who` back. Call [`grant_next`](Self::grant_next) until it returns none.
    pub(super) fn give_back(&mut self, who: &Requester) {
        let (party, member, _) = who.parts();
        self.in_use -= 1;
        self.count(member, |counts| counts.in_use -= 1);
        self.change(party, |state| {
            state.in_use -= 1;
            state.members.entry(member).or_default().in_use -= 1;
        });
    }

    /// Gives a seat to the request that is served next, if there is one that may have it. One seat that is given
    /// back can be what two wait for: one of the same tenant, and one of the same principal elsewhere.
    pub(super) fn grant_next(&mut self) -> Option<Ticket> {
        let Place { party, member, index } = self.next()?;
        let ticket = self.remove(party, member, index)?;
        self.take(party, member);
        Some(ticket)
    }

    /// Removes a request from the queue. Returns whether it was still there.
    pub(super) fn leave(&mut self, who: &Requester, ticket: Ticket) -> bool {
        let (party, member, _) = who.parts();
        let waiting = |state: &PartyState| {
            let waiting = &state.members.get(&member)?.waiting;
            waiting.iter().position(|(other, _)| *other == ticket)
        };
        let index = self.parties.get(&party).and_then(waiting);
        index.and_then(|index| self.remove(party, member, index)).is_some()
    }

    fn is_free(&self, party: Party, member: Option<PrincipalId>, priority: Priority) -> bool {
        let state = self.parties.get(&party);
        let of_party = state.map_or(0, |state| state.in_use);
        let here = state.and_then(|state| state.members.get(&member));
        self.in_use < self.limits.all
            && of_party < self.limits.of_party(party, priority)
            && self.may_have_more(party, member, here.map_or(0, |here| here.in_use))
    }

    /// Returns whether a principal with `here` seats of `party` may have another one.
    fn may_have_more(&self, party: Party, member: Option<PrincipalId>, here: u32) -> bool {
        let own = member.and_then(|id| self.principals.get(&id)).map_or(here, |own| own.in_use);
        here < self.limits.of_member(party) && own < self.limits.principal
    }

    /// Returns whether a tenant's queue is full. Owners are few, and may always wait.
    fn is_crowded(&self, party: Party, priority: Priority) -> bool {
        matches!(party, Party::Tenant(_))
            && priority != Priority::Owner
            && self.parties.get(&party).map_or(0, |state| state.waiting)
                >= self.limits.waiting_of_tenant
    }

    fn take(&mut self, party: Party, member: Option<PrincipalId>) {
        self.in_use += 1;
        self.turn += 1;
        let turn = self.turn;
        self.count(member, |counts| counts.in_use += 1);
        self.change(party, |state| {
            let member = state.members.entry(member).or_default();
            (state.in_use, state.served) = (state.in_use + 1, turn);
            (member.in_use, member.served) = (member.in_use + 1, turn);
        });
    }

    /// Returns the request that is served next: of the party with the fewest seats that may have one more, and in it of
    /// the principal with the fewest. Of several, the one that was served longest ago.
    fn next(&self) -> Option<Place> {
        if self.in_use >= self.limits.all {
            return None;
        }
        self.order.iter().find_map(|(_, _, party)| {
            let state = &self.parties[party];
            let (.., member, index) = state
                .members
                .iter()
                .filter(|(id, member)| self.may_have_more(*party, **id, member.in_use))
                .filter_map(|(id, member)| {
                    let may_be_served =
                        |priority| state.in_use < self.limits.of_party(*party, priority);
                    let index = member.waiting.iter().position(|(_, p)| may_be_served(*p))?;
                    Some((member.in_use, member.served, member.waiting[index].0, *id, index))
                })
                .min()?;
            Some(Place { party: *party, member, index })
        })
    }

    /// Removes the newest request of the principal with the most of them from a tenant's queue.
    fn evict(&mut self, party: Party) -> Option<Ticket> {
        let state = self.parties.get(&party)?;
        let (member, waiting) = state
            .members
            .iter()
            .map(|(id, member)| (*id, member.waiting.len()))
            .max_by_key(|(_, waiting)| *waiting)?;
        self.remove(party, member, waiting.checked_sub(1)?)
    }

    fn remove(
        &mut self,
        party: Party,
        member: Option<PrincipalId>,
        index: usize,
    ) -> Option<Ticket> {
        let mut removed = None;
        self.change(party, |state| {
            let waiting = state.members.get_mut(&member).map(|member| &mut member.waiting);
            removed = waiting.and_then(|waiting| waiting.remove(index));
            state.waiting -= usize::from(removed.is_some());
        });
        if removed.is_some() {
            self.waiting -= 1;
            self.count(member, |counts| counts.waiting -= 1);
        }
        removed.map(|(ticket, _)| ticket)
    }

    /// Changes the counts of a principal.
    fn count(&mut self, principal: Option<PrincipalId>, change: impl FnOnce(&mut Counts)) {
        let Some(id) = principal else { return };
        let counts = self.principals.entry(id).or_default();
        change(counts);
        if counts.in_use == 0 && counts.waiting == 0 {
            self.principals.remove(&id);
        }
    }

    /// Changes the counts of `party`, and its place in the order.
    fn change(&mut self, party: Party, change: impl FnOnce(&mut PartyState)) {
        let state = self.parties.entry(party).or_default();
        if state.waiting > 0 {
            self.order.remove(&(state.in_use, state.served, party));
        }
        change(state);
        state.members.retain(|_, member| member.in_use > 0 || !member.waiting.is_empty());
        if state.waiting > 0 {
            self.order.insert((state.in_use, state.served, party));
        } else if state.in_use == 0 {
            self.parties.remove(&party);
        }
    }
}

impl PartyState {
    fn most_waiting(&self) -> usize {
        self.members.values().map(|member| member.waiting.len()).max().unwrap_or_default()
    }
}
