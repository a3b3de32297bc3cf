//! The access model of the service: roles, plans and permissions.

use mt_core::access::{AccessModel, Billing, Effect, Permission};

/// The access model of the application.
#[derive(Debug)]
pub struct Notebook;

mt_core::text_enum! {
    /// The role of a member in a workspace.
    pub enum Role {
        Editor = "editor",
        Reader = "reader",
    }
}

mt_core::text_enum! {
    /// The plan of a workspace.
    pub enum Plan {
        Free = "free",
    }
}

mt_core::text_enum! {
    /// The permissions.
    pub enum Action {
        NotesAdd = "notes.add",
        NotesRead = "notes.read",
    }
}

impl AccessModel for Notebook {
    type Role = Role;
    type Plan = Plan;
    type Permission = Action;

    fn role_grants(role: Role, action: Action) -> bool {
        match (role, action) {
            (Role::Editor, Action::NotesAdd | Action::NotesRead)
            | (Role::Reader, Action::NotesRead) => true,
            (Role::Reader, Action::NotesAdd) => false,
        }
    }

    fn plan_includes(plan: Plan, action: Action) -> bool {
        match (plan, action) {
            (Plan::Free, Action::NotesAdd | Action::NotesRead) => true,
        }
    }
}

/// The permission to add a note, which requires payment.
pub(crate) struct NotesAdd;

impl Permission for NotesAdd {
    type Model = Notebook;
    const KEY: Action = Action::NotesAdd;
    const BILLING: Billing = Billing::Required;
    const EFFECT: Effect = Effect::Write;
}

/// The permission to read notes, which does not require payment.
pub(crate) struct NotesRead;

impl Permission for NotesRead {
    type Model = Notebook;
    const KEY: Action = Action::NotesRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}
