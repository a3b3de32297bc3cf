//! The model: a tenant with four people and up to three custom roles.

use mt_core::access::PermissionSet;
use mt_core::text_enum::TextEnum as _;
use proptest::prelude::*;

use super::super::{Action, Role, Shop};
use super::{Held, PEOPLE, ROLES};

/// What one believes the library checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Belief {
    Right,
    MakesAnyRole,
    /// The new set is not checked.
    ChangesToAnySet,
    /// The old set is not checked.
    ChangesAnyRole,
    DeletesAnyRole,
    AssignsAnyRole,
    /// The custom role that a member loses is not checked.
    TakesAnyRoleAway,
    InvitesAsAnyRole,
    AcceptsAnyInvite,
}

/// A built-in role, or the custom role in a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Given {
    BuiltIn(Role),
    Custom(usize),
}

/// Something that happens. People and custom roles are named by their numbers.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Make { by: usize, place: usize, based_on: Role, set: PermissionSet<Shop> },
    Change { by: usize, place: usize, set: PermissionSet<Shop> },
    Delete { by: usize, place: usize },
    Assign { by: usize, who: usize, given: Given },
    Invite { by: usize, who: usize, given: Given },
    Accept { who: usize },
    Remove { by: usize, who: usize },
}

/// Histories of up to so many steps. In the first ones, person 3 joins with a role that only the owner can give, or is
/// invited by the manager with a role that the manager then cannot give any more.
pub(super) fn history(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let (owner, manager, who, place) = (0, 1, PEOPLE - 1, 0);
    let (based_on, given) = (Role::Guest, Given::Custom(place));
    let narrow: PermissionSet<Shop> = [Action::TeamManage].into_iter().collect();
    let wide: PermissionSet<Shop> = [Action::LogRead, Action::TeamManage].into_iter().collect();
    let joined = [
        Step::Make { by: owner, place, based_on, set: wide },
        Step::Invite { by: owner, who, given },
        Step::Accept { who },
    ];
    let invited = [
        Step::Make { by: manager, place, based_on, set: narrow },
        Step::Invite { by: manager, who, given },
        Step::Change { by: owner, place, set: wide },
    ];
    let begin = proptest::sample::select(vec![joined, invited]);
    let steps = proptest::collection::vec(step(), 1..most);
    (begin, steps).prop_map(|(begin, steps)| [begin.to_vec(), steps].concat())
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..PEOPLE;
    let place = || 0..ROLES;
    let role = || proptest::sample::select(Role::ALL);
    // Sets are small or have the permission to go on, so that histories do not end in refusals.
    let set = || {
        let some = proptest::sample::subsequence(Action::ALL, 0..=Action::ALL.len());
        (some, any::<bool>()).prop_map(|(mut some, manages)| {
            if manages {
                some.push(Action::TeamManage);
            }
            some.into_iter().collect::<PermissionSet<Shop>>()
        })
    };
    let given = move || prop_oneof![1 => role().prop_map(Given::BuiltIn), 2 => place().prop_map(Given::Custom)];
    prop_oneof![
        4 => (who(), place(), role(), set())
            .prop_map(|(by, place, based_on, set)| Step::Make { by, place, based_on, set }),
        4 => (who(), place(), set()).prop_map(|(by, place, set)| Step::Change { by, place, set }),
        1 => (who(), place()).prop_map(|(by, place)| Step::Delete { by, place }),
        4 => (who(), who(), given()).prop_map(|(by, who, given)| Step::Assign { by, who, given }),
        4 => (who(), who(), given()).prop_map(|(by, who, given)| Step::Invite { by, who, given }),
        4 => who().prop_map(|who| Step::Accept { who }),
        1 => (who(), who()).prop_map(|(by, who)| Step::Remove { by, who }),
    ]
}

/// The result of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    Done,
    /// The transaction was not opened.
    NotOpened,
    Forbidden,
    NotFound,
    UnknownRole,
    NameTaken,
    InUse,
    LastOwner,
    AlreadyMember,
    InvalidInvite,
}

#[derive(Clone, Copy, Debug)]
struct Invite {
    by: usize,
    given: Given,
}

pub(super) struct Model {
    belief: Belief,
    members: [Option<Given>; PEOPLE],
    /// What the custom role in each place grants.
    roles: [Option<PermissionSet<Shop>>; ROLES],
    invites: [Option<Invite>; PEOPLE],
}

impl Model {
    pub(super) fn new(belief: Belief) -> Self {
        let [owner, manager, clerk] = [Role::Owner, Role::Manager, Role::Clerk].map(Given::BuiltIn);
        let members = [Some(owner), Some(manager), Some(clerk), None];
        Self { belief, members, roles: [None; ROLES], invites: [None; PEOPLE] }
    }

    pub(super) fn held(&self) -> Held {
        self.members.map(|given| Some(self.set_of(given?)))
    }

    /// The one who gives what the step gives.
    pub(super) fn giver(&self, step: &Step) -> Option<usize> {
        match *step {
            Step::Make { by, .. }
            | Step::Change { by, .. }
            | Step::Delete { by, .. }
            | Step::Assign { by, .. }
            | Step::Invite { by, .. }
            | Step::Remove { by, .. } => Some(by),
            Step::Accept { who } => self.invites[who].map(|invite| invite.by),
        }
    }

    fn set_of(&self, given: Given) -> PermissionSet<Shop> {
        match given {
            Given::BuiltIn(role) => PermissionSet::of_role(role),
            Given::Custom(place) => self.roles[place].unwrap_or(PermissionSet::empty()),
        }
    }

    /// What `by` holds, if they may open the transaction.
    fn opened(&self, by: usize) -> Option<PermissionSet<Shop>> {
        self.held()[by].filter(|held| held.contains(Action::TeamManage))
    }

    fn exists(&self, given: Given) -> bool {
        !matches!(given, Given::Custom(place) if self.roles[place].is_none())
    }

    fn checks(&self, unless: Belief, set: PermissionSet<Shop>, held: PermissionSet<Shop>) -> bool {
        self.belief == unless || set.is_subset_of(held)
    }

    /// Refuses to take the last owner away.
    fn keeps_an_owner(&self, who: usize, to: Option<Given>) -> bool {
        let owner = Some(Given::BuiltIn(Role::Owner));
        let others = (0..PEOPLE).any(|other| other != who && self.members[other] == owner);
        self.members[who] != owner || to == owner || others
    }

    pub(super) fn take(&mut self, step: &Step) -> Told {
        let held = match *step {
            Step::Accept { who } => return self.accept(who),
            Step::Make { by, .. }
            | Step::Change { by, .. }
            | Step::Delete { by, .. }
            | Step::Assign { by, .. }
            | Step::Invite { by, .. }
            | Step::Remove { by, .. } => match self.opened(by) {
                Some(held) => held,
                None => return Told::NotOpened,
            },
        };
        match *step {
            Step::Make { place, based_on, set, .. } => {
                if based_on == Role::Owner || !self.checks(Belief::MakesAnyRole, set, held) {
                    return Told::Forbidden;
                }
                if self.roles[place].is_some() {
                    return Told::NameTaken;
                }
                self.roles[place] = Some(set);
            }
            Step::Change { place, set, .. } => {
                let Some(before) = self.roles[place] else { return Told::NotFound };
                if !self.checks(Belief::ChangesAnyRole, before, held)
                    || !self.checks(Belief::ChangesToAnySet, set, held)
                {
                    return Told::Forbidden;
                }
                self.roles[place] = Some(set);
            }
            Step::Delete { place, .. } => {
                let Some(before) = self.roles[place] else { return Told::NotFound };
                if !self.checks(Belief::DeletesAnyRole, before, held) {
                    return Told::Forbidden;
                }
                let given = Given::Custom(place);
                let is_invited = |invite: &Option<Invite>| invite.is_some_and(|i| i.given == given);
                if self.members.contains(&Some(given)) || self.invites.iter().any(is_invited) {
                    return Told::InUse;
                }
                self.roles[place] = None;
            }
            Step::Assign { who, given, .. } => {
                let Some(member) = self.members[who] else { return Told::NotFound };
                if !self.exists(given) {
                    return Told::UnknownRole;
                }
                let takes = match member {
                    Given::BuiltIn(_) => PermissionSet::empty(),
                    Given::Custom(_) => self.set_of(member),
                };
                if !self.checks(Belief::TakesAnyRoleAway, takes, held)
                    || !self.checks(Belief::AssignsAnyRole, self.set_of(given), held)
                {
                    return Told::Forbidden;
                }
                if !self.keeps_an_owner(who, Some(given)) {
                    return Told::LastOwner;
                }
                self.members[who] = Some(given);
            }
            Step::Invite { by, who, given } => {
                if !self.exists(given) {
                    return Told::UnknownRole;
                }
                if !self.checks(Belief::InvitesAsAnyRole, self.set_of(given), held) {
                    return Told::Forbidden;
                }
                if self.members[who].is_some() {
                    return Told::AlreadyMember;
                }
                self.invites[who] = Some(Invite { by, given });
            }
            Step::Remove { who, .. } => {
                if self.members[who].is_none() {
                    return Told::NotFound;
                }
                if !self.keeps_an_owner(who, None) {
                    return Told::LastOwner;
                }
                self.members[who] = None;
            }
            Step::Accept { .. } => {}
        }
        Told::Done
    }

    fn accept(&mut self, who: usize) -> Told {
        let Some(Invite { by, given }) = self.invites[who] else { return Told::InvalidInvite };
        let Some(held) = self.held()[by] else { return Told::InvalidInvite };
        if !self.checks(Belief::AcceptsAnyInvite, self.set_of(given), held) {
            return Told::InvalidInvite;
        }
        self.members[who] = Some(given);
        self.invites[who] = None;
        Told::Done
    }
}
