//! Service accounts that act on behalf of a user with a token (RFC 8693, section 4.1).

use mt_core::access::{AccessRequest, PermissionSet};
use mt_core::id::ServiceAccountId;
use mt_core::pg::{BeginError, service_accounts};

use super::{account, answer, opens, owner};
use crate::support::{Leave, NotesRead, NotesWrite, Role, SETUP, World};

#[tokio::test]
async fn acting_account_and_its_user_both_decide() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let acting = ada.acted_by(agent);
    assert_eq!(opens(&world.tenants, acting, acme).await, PermissionSet::of_role(Role::Editor));
    // An account of another tenant, and one that is not there.
    let blue = world.tenant(ada).await;
    assert_eq!(answer::<NotesRead>(&world.tenants, acting, blue).await, "not a member");
    let unknown = ada.acted_by(ServiceAccountId::generate());
    assert_eq!(answer::<NotesRead>(&world.tenants, unknown, acme).await, "not a member");

    world.demote(acme, ada, Role::Viewer).await;
    assert_eq!(opens(&world.tenants, acting, acme).await, PermissionSet::of_role(Role::Viewer));
    world.demote(acme, ada, Role::Owner).await;
    let mut tx =
        world.tenants.begin(AccessRequest::<Leave>::new(ada, acme)).exclusive().await.unwrap();
    service_accounts::delete(&mut tx, agent).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(answer::<NotesWrite>(&world.tenants, acting, acme).await, "not a member");
    assert_eq!(answer::<NotesWrite>(&world.tenants, ada, acme).await, "opens");
}

#[tokio::test]
async fn sign_out_of_the_user_ends_the_token() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let acting = ada.acted_by(agent);
    assert_eq!(answer::<NotesRead>(&world.tenants, acting, acme).await, "opens");
    world.sign_out(ada).await;
    assert_eq!(answer::<NotesRead>(&world.tenants, acting, acme).await, "ended");
}

#[tokio::test]
async fn acting_account_opens_nothing_outside_of_its_tenant() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let acting = ada.acted_by(account(&world, ada, acme, Role::Editor).await);
    let principals = world.database.principals().begin(acting).await.map(drop);
    assert!(matches!(principals, Err(BeginError::Denied(_))), "{principals:?}");
    let system = world.database.system().begin_for(acting, SETUP).await.map(drop);
    assert!(matches!(system, Err(BeginError::Denied(_))), "{system:?}");
    // The control: Ada herself.
    world.database.principals().begin(ada).await.unwrap();
    world.database.system().begin_for(ada, SETUP).await.unwrap();
}
