//! Who may do what: a role, a plan and a permission, and two tables of them.

use mt_core::access::{AccessModel, Billing, Effect, Permission};
use mt_core::word::Word;

/// The application.
#[derive(Debug)]
pub struct Notebook;

/// What a member is in a workspace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Whoever is one.
    Member,
}

/// What a workspace pays for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plan {
    /// Nothing.
    Free,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// See [`NotesRead`].
    NotesRead,
}

/// Reading notes. Forgetting the billing rule or the effect does not compile.
#[derive(Debug)]
pub struct NotesRead;

impl Permission for NotesRead {
    type Model = Notebook;
    const KEY: Action = Action::NotesRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}

// A variant that is added fails to compile here until somebody has decided about it.
impl AccessModel for Notebook {
    type Role = Role;
    type Plan = Plan;
    type Permission = Action;

    fn role_grants(role: Role, action: Action) -> bool {
        match (role, action) {
            (Role::Member, Action::NotesRead) => true,
        }
    }

    fn plan_includes(plan: Plan, action: Action) -> bool {
        match (plan, action) {
            (Plan::Free, Action::NotesRead) => true,
        }
    }
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Member];

    fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
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
    const ALL: &'static [Self] = &[Self::NotesRead];

    fn as_str(self) -> &'static str {
        match self {
            Self::NotesRead => "notes.read",
        }
    }
}
