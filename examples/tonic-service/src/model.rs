//! Who may do what.

use mt_core::access::{AccessModel, Billing, Effect, Permission};
use mt_core::word::Word;

/// The application.
#[derive(Debug)]
pub struct Notebook;

/// What somebody is in a workspace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Editor,
    Reader,
}

/// What a workspace is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plan {
    Free,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    NotesAdd,
    NotesRead,
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

/// Adding a note, which has to be paid for.
pub(crate) struct NotesAdd;

impl Permission for NotesAdd {
    type Model = Notebook;
    const KEY: Action = Action::NotesAdd;
    const BILLING: Billing = Billing::Required;
    const EFFECT: Effect = Effect::Write;
}

/// Reading notes, which a workspace can do that has not paid.
pub(crate) struct NotesRead;

impl Permission for NotesRead {
    type Model = Notebook;
    const KEY: Action = Action::NotesRead;
    const BILLING: Billing = Billing::Exempt;
    const EFFECT: Effect = Effect::Read;
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Editor, Self::Reader];

    fn as_str(self) -> &'static str {
        match self {
            Self::Editor => "editor",
            Self::Reader => "reader",
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
    const ALL: &'static [Self] = &[Self::NotesAdd, Self::NotesRead];

    fn as_str(self) -> &'static str {
        match self {
            Self::NotesAdd => "notes.add",
            Self::NotesRead => "notes.read",
        }
    }
}
