//! Behind a `Database`, and behind a pool made from it, no connection can be had.

#[path = "model/mod.rs"]
mod model;

use model::Acme;
use mt_core::pg::{Database, PrincipalPool, SystemPool, TenantPool};

async fn goes_around(
    database: &Database,
    tenants: &TenantPool<Acme>,
    principals: &PrincipalPool,
    system: &SystemPool,
) {
    let _ = &database.pool;
    let _ = database.acquire().await;
    let _ = &tenants.database;
    let _ = &principals.database;
    let _ = &system.database;
}

fn main() {}
