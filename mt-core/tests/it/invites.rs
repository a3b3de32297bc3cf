//! Invites: bound to an address, used once, never above what their maker may give.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::Denied;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::invites::{self, AcceptError, Accepted, InviteError, InviteStatus, RevokeError};
use mt_core::token::TokenHasher;
use tokio::task::JoinSet;

use crate::model::{Acme, Manage, NotesWrite, Role, SETUP, Seats, World, email};

const WEEK: Duration = Duration::from_hours(7 * 24);

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes or more")
}

/// Invites `name` and returns the token.
async fn made(
    world: &World,
    by: Principal,
    tenant: TenantId,
    name: &str,
    role: Role,
) -> Result<String, InviteError> {
    let grant = world.grant::<NotesWrite>(by, tenant).await;
    let (mut tx, room) = world.tenants.begin_exclusive_capped::<_, Seats>(grant).await.unwrap();
    let made = invites::invite(&mut tx, room, &hasher(), &email(name), role, WEEK).await?;
    tx.commit().await.unwrap();
    Ok(made.token.reveal().to_owned())
}

async fn accepted(
    world: &World,
    who: Principal,
    token: &str,
) -> Result<Accepted<Role>, AcceptError> {
    let mut tx = world.database.system().begin_for(who, SETUP).await.unwrap();
    let policy = StandingPolicy::default();
    let done = invites::accept::<Acme, Seats>(&mut tx, &hasher(), &policy, who, token).await?;
    tx.commit().await.unwrap();
    Ok(done)
}

async fn pending(world: &World) -> i64 {
    world
        .count(
            "select count(*) from mt.invites \
             where accepted_at is null and revoked_at is null and expires_at > now()",
        )
        .await
}

#[tokio::test]
async fn the_rules_hold_when_made_and_again_when_accepted() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    let guest = world.user("guest").await;
    let other = world.user("other").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;

    let refused = made(&world, editor, tenant, "guest", Role::Editor).await;
    assert!(matches!(refused, Err(InviteError::Forbidden)), "{refused:?}");
    let refused = made(&world, owner, tenant, "editor", Role::Viewer).await;
    assert!(matches!(refused, Err(InviteError::AlreadyMember)), "{refused:?}");

    let first = made(&world, editor, tenant, "guest", Role::Viewer).await.unwrap();
    let second = made(&world, editor, tenant, "guest", Role::Viewer).await.unwrap();
    assert_eq!(pending(&world).await, 1, "asking again turns the token");
    let refused = accepted(&world, guest, &first).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    let refused = accepted(&world, other, &second).await;
    assert!(matches!(refused, Err(AcceptError::OtherAddress)), "{refused:?}");

    // Its maker is demoted, then gone, then back.
    for (demotion, undo) in [
        ("update mt.memberships set role = 'viewer' where role = 'editor'", Some(())),
        ("delete from mt.memberships where role = 'editor'", None),
    ] {
        sqlx::query(demotion).execute(world.db.admin()).await.unwrap();
        let refused = accepted(&world, guest, &second).await;
        assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
        assert_eq!(pending(&world).await, 1, "a refused invite is not used up");
        match undo {
            Some(()) => {
                let back = "update mt.memberships set role = 'editor' where role = 'viewer'";
                sqlx::query(back).execute(world.db.admin()).await.unwrap();
            }
            None => world.join(tenant, editor, Role::Editor).await,
        }
    }
    world.set(tenant, "subscription_status = 'unpaid'").await;
    let refused = accepted(&world, guest, &second).await;
    assert!(matches!(refused, Err(AcceptError::Denied(Denied::PaymentRequired))), "{refused:?}");
    world.set(tenant, "subscription_status = 'none'").await;

    world.join(tenant, guest, Role::Editor).await;
    let refused = accepted(&world, guest, &second).await;
    assert!(matches!(refused, Err(AcceptError::AlreadyMember)), "{refused:?}");
    assert_eq!(world.access(guest, tenant).await.role(), Role::Editor, "the role is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_used_by_many_at_once_makes_one_member() {
    let world = Arc::new(World::new(8).await);
    let owner = world.user("owner").await;
    let guest = world.user("guest").await;
    for round in 0..5 {
        let tenant = world.tenant(owner).await;
        let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
        let mut crowd = JoinSet::new();
        for _ in 0..24 {
            let (world, token) = (Arc::clone(&world), token.clone());
            crowd.spawn(async move { accepted(&world, guest, &token).await.is_ok() });
        }
        let joined = crowd.join_all().await.into_iter().filter(|joined| *joined).count();
        assert_eq!(joined, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_downgrade_ten_invites_fill_the_one_seat_that_is_left() {
    let world = Arc::new(World::new(8).await);
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.set(tenant, "plan = 'team'").await;
    for name in ["b", "c"] {
        let member = world.user(name).await;
        world.join(tenant, member, Role::Viewer).await;
    }
    let mut guests = Vec::new();
    for number in 0..10 {
        let name = format!("guest-{number}");
        let token = made(&world, owner, tenant, &name, Role::Viewer).await.unwrap();
        guests.push((world.user(&name).await, token));
    }
    world.set(tenant, "plan = 'free'").await;
    let refused = made(&world, owner, tenant, "late", Role::Viewer).await;
    assert!(matches!(refused, Err(InviteError::CapReached(reached)) if reached.cap == 4));

    let mut crowd = JoinSet::new();
    for (guest, token) in guests {
        let world = Arc::clone(&world);
        crowd.spawn(async move {
            match accepted(&world, guest, &token).await {
                Ok(_) => true,
                Err(AcceptError::CapReached(_)) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let joined = crowd.join_all().await.into_iter().filter(|joined| *joined).count();
    assert_eq!((joined, pending(&world).await), (1, 9));
    assert_eq!(world.count("select count(*) from mt.memberships").await, 4);
}

#[tokio::test]
async fn an_invite_ends_by_time_by_hand_or_by_use() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let guest = world.user("guest").await;
    let tenant = world.tenant(owner).await;
    let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    sqlx::query("update mt.invites set expires_at = now()")
        .execute(world.db.admin())
        .await
        .unwrap();
    let refused = accepted(&world, guest, &token).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");

    let used = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    accepted(&world, guest, &used).await.unwrap();
    made(&world, owner, tenant, "third", Role::Viewer).await.unwrap();
    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin_exclusive(grant).await.unwrap();
    let listed = invites::list(&mut tx, None, 10).await.unwrap();
    let statuses: Vec<_> = listed.iter().map(|invite| invite.status).collect();
    assert_eq!(statuses, [InviteStatus::Pending, InviteStatus::Accepted]);
    let refused = invites::revoke(&mut tx, listed[1].id).await;
    assert!(matches!(refused, Err(RevokeError::Accepted)), "{refused:?}");
    for _ in 0..2 {
        invites::revoke(&mut tx, listed[0].id).await.unwrap();
    }
    let refused = invites::revoke(&mut tx, mt_core::id::InviteId::generate()).await;
    assert!(matches!(refused, Err(RevokeError::NotFound)), "{refused:?}");
    tx.commit().await.unwrap();

    // What is stored is not the token.
    let dump: String = sqlx::query_scalar("select string_agg(i::text, ' ') from mt.invites i")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert!(!dump.contains(&used), "{dump}");
}
