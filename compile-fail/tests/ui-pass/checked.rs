//! The way through: every step that the failing cases leave out or bend.
//!
//! A case that passes also makes trybuild build instead of check, without which the assertions in
//! `const` blocks are never evaluated.

#[path = "../ui/model/mod.rs"]
mod model;

use std::error::Error;
use std::pin::Pin;

use model::{Acme, InvoicesRead, Projects, ProjectsRead, ProjectsWrite, Role};
use mt_core::access::AccessSource as _;
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{CapPermit, Tenants};

type Outcome = Result<(), Box<dyn Error>>;

fn insert(_: CapPermit<Projects>) {}

async fn checked(
    tenants: Tenants<Acme>,
    principal: Principal,
    tenant: TenantId,
) -> Outcome {
    let access = tenants.access(principal, tenant).await?;

    let mut tx = tenants.begin(access.authorize::<InvoicesRead>()?).await?;
    let _ = tx.query::<InvoicesRead>();

    let (mut tx, cap) =
        tenants.begin(access.authorize::<ProjectsWrite>()?).capped::<Projects>().await?;
    let _ = tx.query::<ProjectsRead>();
    let _ = tx.query::<ProjectsWrite>();
    insert(cap.permit()?);

    let mut tx = tenants.begin(access.authorize::<ProjectsWrite>()?).exclusive().await?;
    tx.assign_role(principal.id(), Role::Owner).await?;
    tx.commit().await?;
    Ok(())
}

fn main() {
    // As a trait object the future's body is compiled, and with it every assertion on the way.
    let _: fn(Tenants<Acme>, Principal, TenantId) -> Pin<Box<dyn Future<Output = Outcome>>> =
        |tenants, principal, tenant| Box::pin(checked(tenants, principal, tenant));
}
