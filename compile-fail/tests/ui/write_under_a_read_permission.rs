//! Writing covers reading where it says so; reading never covers writing.

#[path = "model/mod.rs"]
mod model;

use model::{ProjectsRead, ProjectsWrite};
use mt_core::pg::TenantTx;

fn writes(tx: &mut TenantTx<ProjectsRead>) {
    let _ = tx.query::<ProjectsWrite>();
}

fn main() {}
