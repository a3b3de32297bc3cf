//! Who may change whom, and the owner that always stays.

use std::sync::Arc;

use mt_core::pg::{BeginError, RosterError};
use sqlx::Executor as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::model::{Leave, Manage, NotesWrite, Role, World};

#[tokio::test]
async fn not_found_comes_before_forbidden_and_forbidden_before_last_owner() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    let stranger = world.user("stranger").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;

    let grant = world.grant::<Leave>(editor, tenant).await;
    let mut tx = world.tenants.begin_exclusive(grant).await.unwrap();
    let refused = tx.remove_member(stranger.id()).await;
    assert!(matches!(refused, Err(RosterError::NotFound)), "{refused:?}");
    let refused = tx.remove_member(owner.id()).await;
    assert!(matches!(refused, Err(RosterError::Forbidden)), "{refused:?}");
    let refused = tx.assign_role(owner.id(), Role::Viewer).await;
    assert!(matches!(refused, Err(RosterError::Forbidden)), "{refused:?}");
    drop(tx);

    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin_exclusive(grant).await.unwrap();
    let refused = tx.assign_role(owner.id(), Role::Editor).await;
    assert!(matches!(refused, Err(RosterError::LastOwner)), "{refused:?}");
    let refused = tx.remove_member(owner.id()).await;
    assert!(matches!(refused, Err(RosterError::LastOwner)), "{refused:?}");
    // With a second owner the first may go.
    tx.assign_role(editor.id(), Role::Owner).await.unwrap();
    tx.remove_member(owner.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(world.grant::<NotesWrite>(editor, tenant).await).await;
    assert!(refused.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_owners_who_all_leave_at_once_one_stays() {
    let world = Arc::new(World::new(12).await);
    for crowd in [2_usize, 8] {
        let mut owners = Vec::new();
        for number in 0..crowd {
            owners.push(world.user(&format!("owner-{number}")).await);
        }
        for round in 0..10 {
            let tenant = world.tenant(owners[0]).await;
            for owner in &owners[1..] {
                world.join(tenant, *owner, Role::Owner).await;
            }
            let barrier = Arc::new(Barrier::new(crowd));
            let mut leaving = JoinSet::new();
            for owner in owners.clone() {
                let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
                leaving.spawn(async move {
                    let grant = world.grant::<Leave>(owner, tenant).await;
                    barrier.wait().await;
                    let mut tx = world.tenants.begin_exclusive(grant).await.unwrap();
                    match tx.remove_member(owner.id()).await {
                        Ok(()) => {
                            tx.commit().await.unwrap();
                            true
                        }
                        Err(RosterError::LastOwner) => false,
                        Err(error) => panic!("{error}"),
                    }
                });
            }
            let left = leaving.join_all().await.into_iter().filter(|left| *left).count();
            assert_eq!(left, crowd - 1, "crowd {crowd}, round {round}");
        }
    }
}

#[tokio::test]
async fn the_database_keeps_an_owner_even_from_a_console() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    for sql in [
        "delete from mt.memberships",
        "update mt.memberships set role = 'viewer', is_owner = false",
    ] {
        let refused = world.db.admin().execute(sql).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("memberships_keep_an_owner"), "{sql}");
    }
    // The negative control: it is the trigger that refuses.
    let without = "alter table mt.memberships disable trigger memberships_keep_an_owner";
    world.db.admin().execute(without).await.unwrap();
    world.db.admin().execute("delete from mt.memberships").await.unwrap();
    let with = "alter table mt.memberships enable trigger memberships_keep_an_owner";
    world.db.admin().execute(with).await.unwrap();

    // A tenant goes with its owners.
    world.join(tenant, owner, Role::Owner).await;
    world.db.admin().execute("delete from mt.tenants").await.unwrap();
    assert_eq!(world.count("select count(*) from mt.memberships").await, 0);
}

/// Writers hold their membership until they commit, so a demotion waits for those under way and
/// refuses those to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_demotion_has_returned_no_write_of_the_old_role_commits() {
    let world = Arc::new(World::new(12).await);
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    for round in 0..10 {
        let tenant = world.tenant(owner).await;
        world.join(tenant, editor, Role::Editor).await;
        world.set(tenant, "plan = 'team'").await;
        let barrier = Arc::new(Barrier::new(9));
        let mut writers = JoinSet::new();
        for _ in 0..8 {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            let grant = world.grant::<NotesWrite>(editor, tenant).await;
            writers.spawn(async move {
                barrier.wait().await;
                let mut tx = match world.tenants.begin(grant).await {
                    Ok(tx) => tx,
                    Err(BeginError::Denied(_)) => return,
                    Err(error) => panic!("{error}"),
                };
                crate::model::write_note(&mut tx, "by an editor").await;
                tx.commit().await.unwrap();
            });
        }
        let grant = world.grant::<Manage>(owner, tenant).await;
        barrier.wait().await;
        let mut tx = world.tenants.begin_exclusive(grant).await.unwrap();
        tx.assign_role(editor.id(), Role::Viewer).await.unwrap();
        tx.commit().await.unwrap();
        let count = "select count(*) from public.notes";
        let at_demotion = world.count(count).await;
        writers.join_all().await;
        assert_eq!(world.count(count).await, at_demotion, "round {round}");
    }
}
