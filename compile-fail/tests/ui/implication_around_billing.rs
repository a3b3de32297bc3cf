//! A permission that unpaid tenants keep cannot stand for one that has to be paid.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, Perm, ProjectsRead};
use mt_core::access::{Billing, Implies, Permission, Reads};
use mt_core::pg::TenantTx;

struct Sneaky;

impl Permission for Sneaky {
    type Model = Acme;
    type Effect = Reads;
    const KEY: Perm = Perm::InvoicesRead;
    const BILLING: Billing = Billing::Exempt;
}

impl Implies<ProjectsRead> for Sneaky {}

fn reads_unpaid(tx: &mut TenantTx<Sneaky>) {
    let _ = tx.query::<ProjectsRead>();
}

fn main() {
    let _: fn(&mut TenantTx<Sneaky>) = reads_unpaid;
}
