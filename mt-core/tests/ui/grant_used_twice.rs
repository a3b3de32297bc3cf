//! A grant is used up by the transaction that it opens.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::TenantPool;

async fn reuses(tenants: &TenantPool<Acme>, grant: Grant<ProjectsRead>) {
    let _ = tenants.begin(grant).await;
    let _ = tenants.begin(grant).await;
}

fn main() {}
