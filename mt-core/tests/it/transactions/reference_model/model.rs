//! The reference model: operations, and their expected results.

use std::collections::BTreeMap;

use mt_core::access::{Denied, Suspension};
use proptest::prelude::*;

use super::{PEOPLE, TENANTS};
use crate::support::{Plan, Role};

/// Something that happens. People and tenants are named by their numbers.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Read { who: usize, of: usize, stale: bool },
    Create { who: usize, of: usize, stale: bool },
    Clear { who: usize, of: usize, stale: bool },
    Join { who: usize, of: usize, role: Role },
    Assign { who: usize, of: usize, role: Role },
    Remove { who: usize, of: usize },
    Upgrade { of: usize, plan: Plan },
    Bill { of: usize, paid: bool },
    Suspend { of: usize, suspension: Suspension },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    // The owners are number 0 and 1, each in the tenant of that number. No operation changes them.
    let who = || 0..PEOPLE;
    let of = || 0..TENANTS;
    let role = || prop_oneof![Just(Role::Editor), Just(Role::Viewer)];
    let stale = any::<bool>;
    prop_oneof![
        4 => (who(), of(), stale()).prop_map(|(who, of, stale)| Step::Read { who, of, stale }),
        6 => (who(), of(), stale()).prop_map(|(who, of, stale)| Step::Create { who, of, stale }),
        1 => (who(), of(), stale()).prop_map(|(who, of, stale)| Step::Clear { who, of, stale }),
        3 => (who(), of(), role()).prop_map(|(who, of, role)| Step::Join { who, of, role }),
        2 => (who(), of(), role()).prop_map(|(who, of, role)| Step::Assign { who, of, role }),
        2 => (who(), of()).prop_map(|(who, of)| Step::Remove { who, of }),
        1 => (of(), prop_oneof![Just(Plan::Free), Just(Plan::Team)])
            .prop_map(|(of, plan)| Step::Upgrade { of, plan }),
        1 => (of(), any::<bool>()).prop_map(|(of, paid)| Step::Bill { of, paid }),
        1 => (of(), prop_oneof![
                2 => Just(Suspension::None), 1 => Just(Suspension::ReadOnly), 1 => Just(Suspension::Full),
            ]).prop_map(|(of, suspension)| Step::Suspend { of, suspension }),
    ]
}

/// The result of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// All the notes they see.
    Notes(Vec<String>),
    Done,
    CapReached,
    Denied(Denied),
    NotAMember,
}

/// A tenant as one believes it to be.
#[derive(Clone, Debug)]
struct Believed {
    roles: BTreeMap<usize, Role>,
    plan: Plan,
    paid: bool,
    suspension: Suspension,
    notes: Vec<String>,
}

/// Mistakes that a library of this kind might make. With any of them the model must be found wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Belief {
    Right,
    /// The cap is counted over all tenants.
    CapIsShared,
    /// Removed members may still read.
    RemovedStillRead,
    /// Paying is asked for before the role.
    BillingComesFirst,
    /// A read shows the other tenant's notes too.
    ReadsSpill,
}

pub(super) struct Model {
    tenants: [Believed; TENANTS],
    belief: Belief,
}

impl Model {
    pub(super) fn new(belief: Belief) -> Self {
        let tenants = std::array::from_fn(|number| Believed {
            roles: BTreeMap::from([(number, Role::Owner)]),
            plan: Plan::Free,
            paid: true,
            suspension: Suspension::None,
            notes: Vec::new(),
        });
        Self { tenants, belief }
    }

    /// The notes in `of` once `who` was let in to read.
    fn read(&self, who: usize, of: usize) -> Told {
        let tenant = &self.tenants[of];
        let is_member = tenant.roles.contains_key(&who);
        if !is_member && self.belief != Belief::RemovedStillRead {
            return Told::NotAMember;
        }
        if tenant.suspension == Suspension::Full {
            return Told::Denied(Denied::Suspended);
        }
        let mut notes = tenant.notes.clone();
        if self.belief == Belief::ReadsSpill {
            notes.extend(self.tenants[1 - of].notes.clone());
        }
        notes.sort();
        Told::Notes(notes)
    }

    /// Why `who` may not write in `of`.
    fn refusal(&self, who: usize, of: usize) -> Option<Told> {
        let tenant = &self.tenants[of];
        let role = match tenant.roles.get(&who) {
            None => return Some(Told::NotAMember),
            Some(role) => *role,
        };
        if tenant.suspension == Suspension::Full {
            return Some(Told::Denied(Denied::Suspended));
        }
        let unpaid = (!tenant.paid).then_some(Told::Denied(Denied::PaymentRequired));
        if self.belief == Belief::BillingComesFirst && unpaid.is_some() {
            return unpaid;
        }
        if role == Role::Viewer {
            return Some(Told::Denied(Denied::Forbidden));
        }
        if tenant.suspension == Suspension::ReadOnly {
            return Some(Told::Denied(Denied::Suspended));
        }
        unpaid
    }

    fn create(&mut self, who: usize, of: usize, text: &str) -> Told {
        if let Some(refusal) = self.refusal(who, of) {
            return refusal;
        }
        let used = match self.belief {
            Belief::CapIsShared => self.tenants.iter().map(|tenant| tenant.notes.len()).sum(),
            _ => self.tenants[of].notes.len(),
        };
        if self.tenants[of].plan == Plan::Free && used >= 3 {
            return Told::CapReached;
        }
        self.tenants[of].notes.push(text.to_owned());
        Told::Done
    }

    /// Applies `step` and returns its result.
    pub(super) fn take(&mut self, number: usize, step: &Step) -> Told {
        match *step {
            Step::Read { who, of, .. } => return self.read(who, of),
            Step::Create { who, of, .. } => return self.create(who, of, &text(number)),
            Step::Clear { who, of, .. } => {
                if let Some(refusal) = self.refusal(who, of) {
                    return refusal;
                }
                self.tenants[of].notes.clear();
            }
            Step::Join { who, of, role } => {
                self.tenants[of].roles.entry(who).or_insert(role);
            }
            Step::Assign { who, of, role } => {
                if let Some(now) = self.tenants[of].roles.get_mut(&who).filter(|_| who != of) {
                    *now = role;
                }
            }
            Step::Remove { who, of } => {
                if who != of {
                    self.tenants[of].roles.remove(&who);
                }
            }
            Step::Upgrade { of, plan } => self.tenants[of].plan = plan,
            Step::Bill { of, paid } => self.tenants[of].paid = paid,
            Step::Suspend { of, suspension } => self.tenants[of].suspension = suspension,
        }
        Told::Done
    }
}

pub(super) fn text(number: usize) -> String {
    format!("note {number:03}")
}
