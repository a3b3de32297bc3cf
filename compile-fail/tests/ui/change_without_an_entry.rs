//! Where changes are recorded, a statement that writes names its entry.

#[path = "model/mod.rs"]
mod model;

use model::{Perm, Plan, Role};
use mt_core::access::{AccessModel, Audited, Billing, Permission, Writes};
use mt_core::pg::{TenantTx, TxConn};

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

struct Write;

impl Permission for Write {
    type Model = Logged;
    type Effect = Writes;
    const KEY: Perm = Perm::ProjectsWrite;
    const BILLING: Billing = Billing::Required;
}

fn writes(tx: &mut TenantTx<Write>) -> TxConn<'_> {
    tx.query::<Write>()
}

fn main() {
    let _: for<'t> fn(&'t mut TenantTx<Write>) -> TxConn<'t> = writes;
}
