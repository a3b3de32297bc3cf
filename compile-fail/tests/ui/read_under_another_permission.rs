//! A function that reads under one permission does not take a read under another.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, InvoicesRead, ProjectsRead};
use mt_core::access::{Grant, Implies};
use mt_core::pg::{BeginError, TenantRead, Tenants, query_scalar};

async fn project_names<P: Implies<ProjectsRead>>(read: TenantRead<'_, P>) -> Result<Vec<String>, BeginError> {
    query_scalar("select name from app.projects where tenant_id = mt.tenant_id()").fetch_all(read).await
}

async fn reads_projects(tenants: &Tenants<Acme>, grant: Grant<InvoicesRead>) {
    let _ = project_names(tenants.read(grant)).await;
}

fn main() {}
