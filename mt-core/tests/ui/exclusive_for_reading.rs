//! Holding the tenant row is for writers: a read permission opens no exclusive transaction.

#[path = "model/mod.rs"]
mod model;

use std::pin::Pin;

use model::{Acme, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::TenantPool;

async fn locks(tenants: TenantPool<Acme>, grant: Grant<ProjectsRead>) {
    let _ = tenants.begin_exclusive(grant).await;
}

fn main() {
    // As a trait object the future's body is compiled, and with it the assertion.
    let _: fn(TenantPool<Acme>, Grant<ProjectsRead>) -> Pin<Box<dyn Future<Output = ()>>> =
        |tenants, grant| Box::pin(locks(tenants, grant));
}
