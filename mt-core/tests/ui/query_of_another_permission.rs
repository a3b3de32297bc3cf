//! A query that travels with its authority is held to the grant's permission like any other.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, InvoicesRead, ProjectsRead};
use mt_core::access::Grant;
use mt_core::pg::{Query, TenantPool};

async fn reads_projects(pool: &TenantPool<Acme>, grant: Grant<InvoicesRead>) {
    let query = Query::<ProjectsRead>::new("select name from app.projects where tenant_id = $1");
    let _ = pool.read(grant, query).await;
}

fn main() {}
