//! What a process remembers of earlier decisions: it chooses shares and decides nothing.

use mt_core::access::{AccessRequest, AccessSource as _, Denied};
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, query_scalar};

use crate::support::{ALL_NOTES, Manage, NotesRead, NotesWrite, Plan, Role, World};

/// A tenant with an owner and an editor.
async fn fixture() -> (World, Principal, Principal, TenantId) {
    let world = World::new(4).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    (world, owner, editor, tenant)
}

impl World {
    fn recent_role(&self, principal: Principal, tenant: TenantId) -> Option<Role> {
        self.tenants.recent(principal, tenant).map(|access| access.role())
    }
}

#[tokio::test]
async fn every_decision_updates_what_is_remembered() {
    let (world, _, editor, tenant) = fixture().await;
    let (read, write) = (
        AccessRequest::<NotesRead>::new(editor, tenant),
        AccessRequest::<NotesWrite>::new(editor, tenant),
    );
    assert_eq!(world.recent_role(editor, tenant), None);
    query_scalar::<String>(ALL_NOTES).fetch_all(world.tenants.read(read)).await.unwrap();
    assert_eq!(world.recent_role(editor, tenant), Some(Role::Editor));

    world.demote(tenant, editor, Role::Viewer).await;
    assert_eq!(world.recent_role(editor, tenant), Some(Role::Editor), "it is out of date");
    let refused = world.tenants.begin(write).await;
    assert!(matches!(refused, Err(BeginError::Denied(Denied::Forbidden))), "{refused:?}");
    assert_eq!(world.recent_role(editor, tenant), Some(Role::Viewer));

    // A promotion works at once, whatever is remembered.
    world.demote(tenant, editor, Role::Editor).await;
    world.tenants.begin(write).await.unwrap().commit().await.unwrap();

    world.remove(tenant, editor).await;
    let refused = query_scalar::<String>(ALL_NOTES).fetch_all(world.tenants.read(read)).await;
    assert!(matches!(refused, Err(BeginError::NotAMember)), "{refused:?}");
    assert_eq!(world.recent_role(editor, tenant), None);
}

#[tokio::test]
async fn suspension_lapse_and_sign_out_are_refused_despite_what_is_remembered() {
    let (world, owner, _, tenant) = fixture().await;
    let manage = AccessRequest::<Manage>::new(owner, tenant);
    let begun = async || world.tenants.begin(manage).await.map(drop);
    begun().await.unwrap();
    for (change, denied) in [
        ("subscription_status = 'unpaid'", Denied::PaymentRequired),
        ("subscription_status = 'active', suspension = 'read_only'", Denied::Suspended),
        ("suspension = 'full'", Denied::Suspended),
    ] {
        world.set(tenant, change).await;
        let refused = begun().await;
        assert!(
            matches!(&refused, Err(BeginError::Denied(found)) if *found == denied),
            "{change}: {refused:?}"
        );
    }
    world.set(tenant, "suspension = 'none'").await;
    begun().await.unwrap();
    world.sign_out(owner).await;
    assert!(matches!(begun().await, Err(BeginError::SignedOut)));
    assert!(world.tenants.recent(owner, tenant).is_none());
}

#[tokio::test]
async fn capped_transaction_is_right_on_a_plan_that_changed_or_is_not_known() {
    let (world, owner, _, tenant) = fixture().await;
    let request = AccessRequest::<NotesWrite>::new(owner, tenant);
    for plan in ["free", "team", "free"] {
        world.set(tenant, if plan == "free" { "plan = 'free'" } else { "plan = 'team'" }).await;
        let begun = world.tenants.begin(request).capped::<crate::support::Notes>().await;
        let (tx, cap) = begun.unwrap();
        assert_eq!(tx.access().plan() == Plan::Free, plan == "free");
        assert!(cap.permit().is_ok());
        tx.commit().await.unwrap();
    }
}

/// The seat is taken before the transaction can decide. A stranger's is their own, so that strangers cannot use up a
/// tenant's; and so is the first of a member in each process.
#[tokio::test]
async fn only_a_known_member_uses_the_tenants_share() {
    let (world, owner, _, tenant) = fixture().await;
    let stranger = world.user("stranger").await;
    let refused = world.tenants.begin(AccessRequest::<NotesRead>::new(stranger, tenant)).await;
    assert!(matches!(refused, Err(BeginError::NotAMember)));
    assert!(world.tenants.recent(stranger, tenant).is_none());

    // Of four connections, one principal has one outside of tenants and two in a tenant.
    let request = AccessRequest::<NotesRead>::new(owner, tenant);
    let outside = world.database.principals().begin(owner).await.unwrap();
    let mut first = Box::pin(async { world.tenants.begin(request).await.unwrap() });
    assert!(futures_util::poll!(&mut first).is_pending());
    assert_eq!(world.database.shares().stats().waiting, 1, "it uses the principal's share");
    outside.commit().await.unwrap();
    first.await.commit().await.unwrap();

    let outside = world.database.principals().begin(owner).await.unwrap();
    let known = world.tenants.begin(request).await.unwrap();
    assert_eq!(world.database.shares().stats().in_use, 2, "it uses the tenant's share");
    known.commit().await.unwrap();
    outside.commit().await.unwrap();
}
