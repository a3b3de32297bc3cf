//! What holders of a custom role may do, and how a role is changed and deleted.

use std::sync::Arc;

use mt_core::access::Denied;
use mt_core::pg::roles::{
    self, CheckError, MAX_ROLES, NamedRole, NewRole, RoleChange, RoleError, UnknownWord,
};
use mt_core::pg::{BeginError, Member, query_scalar};
use tokio::sync::oneshot;

use super::{Fixture, LogRead, NotesRead, NotesWrite, Role, Shop, TeamManage, set};

#[tokio::test]
async fn a_holder_may_do_what_the_role_grants_and_nothing_else() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let auditor = fixture.make(owner, "Auditor", Role::Clerk, &["log.read"]).await.unwrap();
    let read = async |who| {
        let tenants = &fixture.tenants;
        let one = query_scalar::<i32>("select 1");
        let log = one.fetch_one(tenants.read(fixture.request::<LogRead>(who))).await;
        let notes = tenants.begin(fixture.request::<NotesRead>(who)).await.map(drop);
        (log.is_ok(), notes.is_ok())
    };
    assert_eq!(read(clerk).await, (false, true));
    fixture.assign(owner, clerk, auditor.id).await.unwrap();
    assert_eq!(read(clerk).await, (true, false));
    let access = fixture.access(clerk).await;
    assert_eq!((access.role(), access.permissions()), (Role::Clerk, set(&["log.read"])));
    assert_eq!(access.check::<NotesRead>(), Err(Denied::Forbidden));

    let mut tx = fixture.tenants.begin(fixture.request::<LogRead>(clerk)).await.unwrap();
    let member = Member::find(&mut tx, clerk.id()).await.unwrap().unwrap();
    drop(tx);
    let named = NamedRole { id: auditor.id, name: "Auditor".to_owned() };
    assert_eq!((member.role, member.custom_role.as_ref()), (Role::Clerk, Some(&named)));
    let read = fixture.tenants.read(fixture.request::<LogRead>(clerk));
    let members = Member::list(read, None, 10).await.unwrap();
    assert!(members.contains(&member) && members.len() == 3);

    fixture.assign(owner, clerk, Role::Guest).await.unwrap();
    assert!(fixture.access(clerk).await.facts().custom_role.is_none());
}

#[tokio::test]
async fn a_change_counts_from_the_next_transaction_and_touches_no_membership() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let reader = fixture.make(owner, "Reader", Role::Guest, &["notes.read"]).await.unwrap().id;
    fixture.assign(owner, clerk, reader).await.unwrap();
    let version = "select xmin::text from mt.memberships where role_id is not null";
    let version = async || -> String {
        sqlx::query_scalar(version).fetch_one(fixture.world.db.admin()).await.unwrap()
    };
    let before = version().await;
    assert!(fixture.tenants.begin(fixture.request::<NotesRead>(clerk)).await.is_ok());
    fixture.edit(owner, reader, &["log.read"]).await.unwrap();
    let refused = fixture.tenants.begin(fixture.request::<NotesRead>(clerk)).await;
    assert!(matches!(refused, Err(BeginError::Denied(Denied::Forbidden))));
    assert!(fixture.tenants.begin(fixture.request::<LogRead>(clerk)).await.is_ok());
    assert_eq!(version().await, before);
}

/// A holder writes while the permission is taken away: the change returns when the write has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_commits_with_a_permission_that_a_change_took_away() {
    let fixture = Arc::new(Fixture::new().await);
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let writer = fixture.make(owner, "Writer", Role::Guest, &["notes.write"]).await.unwrap().id;
    fixture.assign(owner, clerk, writer).await.unwrap();
    for narrows in [false, true] {
        let words: &[_] = if narrows { &["notes.read"] } else { &["notes.write", "log.read"] };
        let writing = fixture.tenants.begin(fixture.request::<NotesWrite>(clerk)).await.unwrap();
        let (done, mut is_done) = oneshot::channel();
        let changing = tokio::spawn({
            let fixture = Arc::clone(&fixture);
            async move {
                fixture.edit(owner, writer, words).await.unwrap();
                let _ = done.send(());
            }
        });
        // Either the change is made, or it waits for the gate of the tenant.
        let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        let mut is_made = false;
        while !is_made && fixture.world.count(waits).await == 0 {
            is_made = is_done.try_recv().is_ok();
        }
        assert_eq!(is_made, !narrows, "a change that takes nothing away does not wait");
        writing.commit().await.unwrap();
        changing.await.unwrap();
    }
    let refused = fixture.tenants.begin(fixture.request::<NotesWrite>(clerk)).await;
    assert!(matches!(refused, Err(BeginError::Denied(Denied::Forbidden))));
}

#[tokio::test]
async fn a_role_in_use_is_not_deleted() {
    let fixture = Fixture::new().await;
    let (owner, clerk) = (fixture.owner, fixture.clerk);
    let reader = fixture.make(owner, "Reader", Role::Guest, &["notes.read"]).await.unwrap().id;
    fixture.assign(owner, clerk, reader).await.unwrap();
    let token = fixture.invite(owner, "ada", reader).await.unwrap();
    let refused = fixture.delete(owner, reader).await;
    assert!(matches!(refused, Err(RoleError::InUse { members: 1, invites: 1 })), "{refused:?}");
    let ada = fixture.world.user("ada").await;
    fixture.accept(ada, &token).await.unwrap();
    let refused = fixture.delete(owner, reader).await;
    assert!(matches!(refused, Err(RoleError::InUse { members: 2, invites: 0 })), "{refused:?}");
    for who in [clerk, ada] {
        fixture.assign(owner, who, Role::Guest).await.unwrap();
    }
    // The invite that was accepted does not keep it.
    fixture.delete(owner, reader).await.unwrap();
    let refused = fixture.delete(owner, reader).await;
    assert!(matches!(refused, Err(RoleError::NotFound)), "{refused:?}");
}

#[tokio::test]
async fn names_are_unique_and_none_is_a_built_in_one() {
    let fixture = Fixture::new().await;
    let owner = fixture.owner;
    let reader = fixture.make(owner, "Reader", Role::Guest, &["notes.read"]).await.unwrap().id;
    fixture.make(owner, "Writer", Role::Guest, &["notes.write"]).await.unwrap();
    for name in ["Reader", "owner", "Owner"] {
        let refused = fixture.make(owner, name, Role::Guest, &[]).await;
        assert!(matches!(refused, Err(RoleError::NameTaken)), "{name}: {refused:?}");
    }
    let rename = async |name| {
        let begin = fixture.tenants.begin(fixture.request::<TeamManage>(owner)).exclusive();
        let mut tx = begin.await.unwrap();
        let change = RoleChange { name: Some(name), permissions: None };
        let changed = roles::change(&mut tx, reader, change).await?;
        tx.commit().await.unwrap();
        Ok::<_, RoleError>(changed.name)
    };
    for name in ["Writer", "guest"] {
        assert!(matches!(rename(name).await, Err(RoleError::NameTaken)), "{name}");
    }
    assert_eq!(rename("Visitor").await.unwrap(), "Visitor");
    let listed = roles::list(fixture.tenants.read(fixture.request::<LogRead>(owner))).await;
    let names: Vec<_> = listed.unwrap().into_iter().map(|role| role.name).collect();
    assert_eq!(names, ["Visitor", "Writer"]);
}

#[tokio::test]
async fn a_tenant_has_a_bounded_number_of_roles() {
    let fixture = Fixture::new().await;
    let begin = fixture.tenants.begin(fixture.request::<TeamManage>(fixture.owner)).exclusive();
    let mut tx = begin.await.unwrap();
    for number in 0..MAX_ROLES {
        let name = &format!("role {number}");
        let new = NewRole { name, based_on: Role::Guest, permissions: set(&[]) };
        roles::create(&mut tx, new).await.unwrap();
    }
    let new = NewRole { name: "one more", based_on: Role::Guest, permissions: set(&[]) };
    let refused = roles::create(&mut tx, new).await;
    assert!(matches!(refused, Err(RoleError::TooMany)), "{refused:?}");
}

#[tokio::test]
async fn a_word_that_the_program_does_not_have_grants_nothing_and_is_found() {
    let fixture = Fixture::new().await;
    let (owner, clerk, system) = (fixture.owner, fixture.clerk, fixture.world.database.system());
    let reader = fixture.make(owner, "Reader", Role::Guest, &["notes.read"]).await.unwrap().id;
    fixture.assign(owner, clerk, reader).await.unwrap();
    roles::check::<Shop>(&system).await.unwrap();
    sqlx::query("update mt.roles set permissions = array['notes.read', 'notes.burn']")
        .execute(fixture.world.db.admin())
        .await
        .unwrap();
    assert_eq!(fixture.access(clerk).await.permissions(), set(&["notes.read"]));
    let burn = UnknownWord { tenant: fixture.tenant, role: reader, word: "notes.burn".to_owned() };
    let refused = roles::check::<Shop>(&system).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("`notes.burn` in role {reader} of tenant")));
    assert!(matches!(refused, CheckError::Unknown(words) if words == [burn]));
}
