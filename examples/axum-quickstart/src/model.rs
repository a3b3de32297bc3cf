//! The access model: a role, a plan, a permission, and the rules that combine them.

use mt_core::access::{AccessModel, Billing, Effect, Permission};

/// The access model of the application.
#[derive(Debug)]
pub struct Notebook;

mt_core::text_enum! {
    /// The role of a member in a workspace.
    pub enum Role {
        /// Reads notes.
        Member = "member",
    }
}

mt_core::text_enum! {
    /// The plan of a workspace.
    pub enum Plan {
        /// Free of charge.
        Free = "free",
    }
}

mt_core::text_enum! {
    /// The permissions.
    pub enum Action {
        /// See [`NotesRead`].
        NotesRead = "notes.read",
    }
}

/// The permission to read notes. Without a billing rule and an effect it does not compile.
#[derive(Debug)]
pub struct NotesRead;

impl Permission for NotesRead {
    type Model = Notebook;
    const KEY: Action = Action::NotesRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}

// A new variant does not compile until both functions decide about it.
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
