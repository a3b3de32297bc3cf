//! Holding the tenant row is for writers: a read permission opens no exclusive transaction.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::TenantPool;

async fn locks(tenants: TenantPool<Acme>, grant: Grant<ProjectsRead>) {
    let _ = tenants.begin_exclusive(grant).await;
}

// As a trait object, as a spawned task would have it: what is never polled is never compiled.
fn spawned(tenants: TenantPool<Acme>, grant: Grant<ProjectsRead>) -> Box<dyn Future<Output = ()>> {
    Box::new(locks(tenants, grant))
}

fn main() {
    let _: fn(TenantPool<Acme>, Grant<ProjectsRead>) -> Box<dyn Future<Output = ()>> = spawned;
}
