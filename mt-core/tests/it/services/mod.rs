//! Services: transactions in a tenant without a user, and sweeps over all tenants.

mod begin;
#[cfg(unix)]
mod faults;
mod sweeps;
mod without_tenant;

use mt_core::access::{DeclaredWith, Service};
use mt_core::id::TenantId;

use crate::support::{Acme, NotesRead, NotesWrite, World};

/// A service that may read and write notes.
pub(crate) struct Archivist;

impl Service for Archivist {
    type Model = Acme;
    const NAME: &'static str = "archivist";
}

impl DeclaredWith<NotesRead> for Archivist {}
impl DeclaredWith<NotesWrite> for Archivist {}

/// Creates tenants, of one owner.
pub(crate) async fn tenants(world: &World, many: usize) -> Vec<TenantId> {
    let owner = world.user("owner").await;
    let mut tenants = Vec::new();
    for _ in 0..many {
        tenants.push(world.tenant(owner).await);
    }
    tenants
}
