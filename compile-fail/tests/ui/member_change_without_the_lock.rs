//! Members change under the tenant's lock, never in a shared transaction.

#[path = "model/mod.rs"]
mod model;

use model::{ProjectsWrite, Role};
use mt_core::id::PrincipalId;
use mt_core::pg::TenantTx;

async fn changes(tx: &mut TenantTx<ProjectsWrite>, member: PrincipalId) {
    let _ = tx.assign_role(member, Role::Owner).await;
    let _ = tx.remove_member(member).await;
}

fn main() {}
