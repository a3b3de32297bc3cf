//! A tenant's id opens nothing: `begin` takes a grant.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::id::TenantId;
use mt_core::pg::Tenants;

async fn skips_the_check(tenants: &Tenants<Acme>, tenant: TenantId) {
    let _ = tenants.begin::<ProjectsRead>(tenant).await;
}

fn main() {}
