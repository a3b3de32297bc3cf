//! A permission whose transaction is read only cannot stand for one that writes.

#[path = "model/mod.rs"]
mod model;

use model::{ProjectsRead, ProjectsWrite};
use mt_core::access::{Billing, Implies, Permission, Reads};
use mt_core::pg::TenantTx;

struct Sneaky;

impl Permission for Sneaky {
    type Model = model::Acme;
    const KEY: model::Perm = model::Perm::ProjectsRead;
    const BILLING: Billing = Billing::Required;
    const EFFECT: Effect = Effect::Read;
}

impl Implies<ProjectsRead> for Sneaky {}
impl Implies<ProjectsWrite> for Sneaky {}

fn writes(tx: &mut TenantTx<Sneaky>) {
    let _ = tx.query::<ProjectsRead>();
    let _ = tx.query::<ProjectsWrite>();
}

fn main() {
    let _: fn(&mut TenantTx<Sneaky>) = writes;
}
