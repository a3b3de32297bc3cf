//! Holding the tenant row is for writers: a read permission opens no exclusive transaction.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::TenantPool;

async fn locks(tenants: TenantPool<Acme>, grant: Grant<ProjectsRead>) {
    let _ = tenants.begin_exclusive(grant).await;
}

fn main() {
    let _ = locks;
}
