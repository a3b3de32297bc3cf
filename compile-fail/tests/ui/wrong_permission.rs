//! A query names its permission, and the transaction's has to cover it.

#[path = "model/mod.rs"]
mod model;

use model::{InvoicesRead, ProjectsRead};
use mt_core::pg::TenantTx;

fn reads_projects(tx: &mut TenantTx<InvoicesRead>) {
    let _ = tx.query::<ProjectsRead>();
}

fn main() {}
