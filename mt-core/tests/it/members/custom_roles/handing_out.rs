//! Each of the ways to hand a permission out asks the one law: a caller holds what they give, and what they take.

use mt_core::pg::invites::{AcceptError, InviteError};
use mt_core::pg::roles::RoleError;
use mt_core::pg::{MemberError, roles};

use super::{Fixture, Role, TeamManage, set};

#[tokio::test]
async fn a_role_is_made_of_what_its_maker_holds() {
    let fixture = Fixture::new().await;
    let (owner, manager) = (fixture.owner, fixture.manager);
    for (by, words) in [(manager, ["log.read"]), (owner, ["safe.read"])] {
        let refused = fixture.make(by, "Auditor", Role::Guest, &words).await;
        assert!(matches!(refused, Err(RoleError::Forbidden)), "{refused:?}");
    }
    let made = fixture.make(owner, "Auditor", Role::Guest, &["log.read"]).await.unwrap();
    assert_eq!((made.based_on, made.permissions), (Role::Guest, set(&["log.read"])));
}

#[tokio::test]
async fn no_role_is_based_on_the_owners() {
    let fixture = Fixture::new().await;
    let refused = fixture.make(fixture.owner, "Deputy", Role::Owner, &["log.read"]).await;
    assert!(matches!(refused, Err(RoleError::Forbidden)), "{refused:?}");
}

#[tokio::test]
async fn a_change_is_made_by_who_holds_what_is_there_before_and_after() {
    let fixture = Fixture::new().await;
    let (owner, manager) = (fixture.owner, fixture.manager);
    let auditor = fixture.make(owner, "Auditor", Role::Guest, &["log.read"]).await.unwrap().id;
    let writer = fixture.make(owner, "Writer", Role::Guest, &["notes.write"]).await.unwrap().id;
    // What is taken away, and what is given.
    for (role, words) in [(auditor, "notes.read"), (writer, "log.read")] {
        let refused = fixture.edit(manager, role, &[words]).await;
        assert!(matches!(refused, Err(RoleError::Forbidden)), "{refused:?}");
    }
    fixture.edit(manager, writer, &["notes.read"]).await.unwrap();
    let refused = fixture.delete(manager, auditor).await;
    assert!(matches!(refused, Err(RoleError::Forbidden)), "{refused:?}");
    fixture.delete(manager, writer).await.unwrap();
}

#[tokio::test]
async fn a_role_is_assigned_and_taken_away_by_who_holds_it() {
    let fixture = Fixture::new().await;
    let (owner, manager, clerk) = (fixture.owner, fixture.manager, fixture.clerk);
    let auditor = fixture.make(owner, "Auditor", Role::Guest, &["log.read"]).await.unwrap().id;
    let writer = fixture.make(owner, "Writer", Role::Guest, &["notes.write"]).await.unwrap().id;
    let refused = fixture.assign(manager, clerk, auditor).await;
    assert!(matches!(refused, Err(MemberError::Forbidden)), "{refused:?}");
    fixture.assign(manager, clerk, writer).await.unwrap();
    fixture.assign(owner, clerk, auditor).await.unwrap();
    let refused = fixture.assign(manager, clerk, Role::Guest).await;
    assert!(matches!(refused, Err(MemberError::Forbidden)), "{refused:?}");
    fixture.assign(owner, clerk, Role::Guest).await.unwrap();
}

#[tokio::test]
async fn a_holder_of_a_custom_role_hands_out_its_set_and_not_that_of_the_role_it_is_based_on() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let words = ["team.manage", "notes.read"];
    let lead = fixture.make(owner, "Lead", Role::Manager, &words).await.unwrap().id;
    fixture.assign(owner, fixture.manager, lead).await.unwrap();
    // The role that it is based on writes notes.
    let refused = fixture.make(fixture.manager, "Writer", Role::Guest, &["notes.write"]).await;
    assert!(matches!(refused, Err(RoleError::Forbidden)), "{refused:?}");
    let refused = fixture.assign(fixture.manager, clerk, Role::Manager).await;
    assert!(matches!(refused, Err(MemberError::Forbidden)), "{refused:?}");
    fixture.assign(fixture.manager, clerk, lead).await.unwrap();
}

#[tokio::test]
async fn an_invite_is_made_and_accepted_within_what_its_maker_holds() {
    let fixture = Fixture::new().await;
    let (owner, manager) = (fixture.owner, fixture.manager);
    let auditor = fixture.make(owner, "Auditor", Role::Guest, &["log.read"]).await.unwrap().id;
    let writer = fixture.make(owner, "Writer", Role::Guest, &["notes.read"]).await.unwrap().id;
    let refused = fixture.invite(manager, "ada", auditor).await;
    assert!(matches!(refused, Err(InviteError::Forbidden)), "{refused:?}");
    let token = fixture.invite(manager, "ada", writer).await.unwrap();
    let ada = fixture.world.user("ada").await;
    // The role has gained a permission that the maker of the invite does not hold.
    fixture.edit(owner, writer, &["log.read"]).await.unwrap();
    let refused = fixture.accept(ada, &token).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    fixture.edit(owner, writer, &["notes.read"]).await.unwrap();
    // The maker has lost one that the role has.
    let narrow = fixture.make(owner, "Narrow", Role::Manager, &["team.manage"]).await.unwrap().id;
    fixture.assign(owner, manager, narrow).await.unwrap();
    let refused = fixture.accept(ada, &token).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    fixture.assign(owner, manager, Role::Manager).await.unwrap();
    assert_eq!(fixture.accept(ada, &token).await.unwrap(), Some(writer));
    assert_eq!(fixture.access(ada).await.permissions(), set(&["notes.read"]));
}

#[tokio::test]
async fn a_role_of_another_tenant_does_not_exist() {
    let fixture = Fixture::new().await;
    let other = Fixture::shop_of(&fixture.world, fixture.owner).await;
    let begin = mt_core::access::AccessRequest::<TeamManage>::new(fixture.owner, other);
    let mut tx = fixture.tenants.begin(begin).exclusive().await.unwrap();
    let new = roles::NewRole { name: "Theirs", based_on: Role::Guest, permissions: set(&[]) };
    let theirs = roles::create(&mut tx, new).await.unwrap().id;
    tx.commit().await.unwrap();

    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let refused = fixture.edit(owner, theirs, &["log.read"]).await;
    assert!(matches!(refused, Err(RoleError::NotFound)), "{refused:?}");
    let refused = fixture.delete(owner, theirs).await;
    assert!(matches!(refused, Err(RoleError::NotFound)), "{refused:?}");
    let refused = fixture.assign(owner, clerk, theirs).await;
    assert!(matches!(refused, Err(MemberError::UnknownRole)), "{refused:?}");
    let refused = fixture.invite(owner, "ada", theirs).await;
    assert!(matches!(refused, Err(InviteError::UnknownRole)), "{refused:?}");
}
