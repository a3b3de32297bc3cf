//! Where changes are recorded: what reads, what changes with its entry, and what says that it has none.

#[path = "../ui/model/mod.rs"]
mod model;

use model::{Perm, Plan, Role};
use mt_core::access::{AccessModel, Audited, Billing, Implies, NeedsNoEntry, Permission, Reads, Writes};
use mt_core::pg::TenantTx;
use mt_core::pg::audit_log::Action;

struct Logged;

impl AccessModel for Logged {
    type Role = Role;
    type Plan = Plan;
    type Permission = Perm;
    type Auditing = Audited;
    const INITIAL_PLAN: Plan = Plan::Free;

    fn role_grants(_: Role, _: Perm) -> bool {
        true
    }

    fn plan_includes(_: Plan, _: Perm) -> bool {
        true
    }
}

struct Read;

impl Permission for Read {
    type Model = Logged;
    type Effect = Reads;
    const KEY: Perm = Perm::ProjectsRead;
    const BILLING: Billing = Billing::Exempt;
}

struct Write;

impl Permission for Write {
    type Model = Logged;
    type Effect = Writes;
    const KEY: Perm = Perm::ProjectsWrite;
    const BILLING: Billing = Billing::Required;
}

impl NeedsNoEntry for Read {}

impl Implies<Read> for Write {}

const WRITTEN: Action = Action::new("project.written", "project");

fn writes(tx: &mut TenantTx<Write>) {
    let _ = tx.query::<Read>();
    let _ = tx.execute::<Write>(WRITTEN.on(uuid::Uuid::nil()));
    let _ = tx.execute_unaudited::<Write>();
}

fn main() {
    let _: fn(&mut TenantTx<Write>) = writes;
}
