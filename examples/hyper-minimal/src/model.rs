//! The access model of the service: roles, plans and permissions.

use mt_core::access::{AccessModel, Billing, Effect, Permission};

/// The access model of the application.
#[derive(Debug)]
pub struct Mall;

mt_core::text_enum! {
    /// The role of a member in a shop.
    pub enum Role {
        Keeper = "keeper",
    }
}

mt_core::text_enum! {
    /// The plan of a shop.
    pub enum Plan {
        Free = "free",
    }
}

mt_core::text_enum! {
    /// The permissions.
    pub enum Action {
        VisitorsCount = "visitors.count",
        VisitorsRead = "visitors.read",
    }
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

/// The permission to count a visitor, which requires payment.
pub(crate) struct VisitorsCount;

impl Permission for VisitorsCount {
    type Model = Mall;
    const KEY: Action = Action::VisitorsCount;
    const BILLING: Billing = Billing::Required;
    const EFFECT: Effect = Effect::Write;
}

/// The permission to read the count, which does not require payment.
pub(crate) struct VisitorsRead;

impl Permission for VisitorsRead {
    type Model = Mall;
    const KEY: Action = Action::VisitorsRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}
