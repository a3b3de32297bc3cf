//! Behind a `Database`, and behind what is made from it, no connection can be had.

#[path = "model/mod.rs"]
mod model;

use model::Acme;
use mt_core::pg::{Database, Principals, System, Tenants};

async fn goes_around(
    database: &Database,
    tenants: &Tenants<Acme>,
    principals: &Principals,
    system: &System,
) {
    let _ = &database.pools;
    let _ = &database.probe;
    let _ = &tenants.authority;
    let _ = &principals.pools;
    let _ = &system.pools;
}

fn main() {}
