//! A read takes a permission that reads.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsWrite};
use mt_core::access::AccessRequest;
use mt_core::pg::Tenants;

fn reads(tenants: &Tenants<Acme>, request: AccessRequest<ProjectsWrite>) {
    let _ = tenants.read(request);
}

fn main() {}
