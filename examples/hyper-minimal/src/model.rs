//! Who may do what.

use mt_core::access::{AccessModel, Billing, Effect, Permission};
use mt_core::word::Word;

/// The application.
#[derive(Debug)]
pub struct Mall;

/// What somebody is in a shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Keeper,
}

/// What a shop is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plan {
    Free,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    VisitorsCount,
    VisitorsRead,
}

impl AccessModel for Mall {
    type Role = Role;
    type Plan = Plan;
    type Permission = Action;

    fn role_grants(role: Role, action: Action) -> bool {
        match (role, action) {
            (Role::Keeper, Action::VisitorsCount | Action::VisitorsRead) => true,
        }
    }

    fn plan_includes(plan: Plan, action: Action) -> bool {
        match (plan, action) {
            (Plan::Free, Action::VisitorsCount | Action::VisitorsRead) => true,
        }
    }
}

/// Counting a visitor, which has to be paid for.
pub(crate) struct VisitorsCount;

impl Permission for VisitorsCount {
    type Model = Mall;
    const KEY: Action = Action::VisitorsCount;
    const BILLING: Billing = Billing::Required;
    const EFFECT: Effect = Effect::Write;
}

/// Looking at the count, which a shop can do that has not paid.
pub(crate) struct VisitorsRead;

impl Permission for VisitorsRead {
    type Model = Mall;
    const KEY: Action = Action::VisitorsRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Keeper];

    fn as_str(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
        }
    }
}

impl Word for Plan {
    const ALL: &'static [Self] = &[Self::Free];

    fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
        }
    }
}

impl Word for Action {
    const ALL: &'static [Self] = &[Self::VisitorsCount, Self::VisitorsRead];

    fn as_str(self) -> &'static str {
        match self {
            Self::VisitorsCount => "visitors.count",
            Self::VisitorsRead => "visitors.read",
        }
    }
}
