//! Holding the tenant row is for writers: a read permission opens no exclusive transaction.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::Tenants;

async fn locks(tenants: Tenants<Acme>, grant: Grant<ProjectsRead>) {
    let _ = tenants.begin(grant).exclusive().await;
}

// As a trait object, as a spawned task would have it: what is never polled is never compiled.
fn spawned(tenants: Tenants<Acme>, grant: Grant<ProjectsRead>) -> Box<dyn Future<Output = ()>> {
    Box::new(locks(tenants, grant))
}

fn main() {
    let _: fn(Tenants<Acme>, Grant<ProjectsRead>) -> Box<dyn Future<Output = ()>> = spawned;
}
