//! Invites: bound to an address, used once, and never above the inviter's own rights.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::Denied;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::{InviteId, TenantId};
use mt_core::pg::Member;
use mt_core::pg::invites::{
    self, AcceptError, Accepted, Invite, InviteError, InviteStatus, InviteTerms, RevokeError,
};
use mt_core::token::TokenHasher;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{
    Acme, Leave, Manage, NotesRead, NotesWrite, Role, SETUP, Seats, World, email,
};

const WEEK: Duration = Duration::from_hours(7 * 24);
const TERMS: InviteTerms = InviteTerms { ttl: WEEK, mail_interval: None };

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
    let (mut tx, cap) = world.tenants.begin(grant).exclusive().capped::<Seats>().await.unwrap();
    let made = invites::invite(&mut tx, cap, &hasher(), &email(name), role, TERMS).await?;
    tx.commit().await.unwrap();
    Ok(made.token.reveal().to_owned())
}

async fn accepted(
    world: &World,
    who: Principal,
    token: &str,
) -> Result<Accepted<Role>, AcceptError> {
    accepted_with(world, &hasher(), who, token).await
}

async fn accepted_with(
    world: &World,
    hasher: &TokenHasher,
    who: Principal,
    token: &str,
) -> Result<Accepted<Role>, AcceptError> {
    let mut tx = world.database.system().begin_for(who, SETUP).await.unwrap();
    let policy = StandingPolicy::default();
    let done = invites::accept::<Acme, Seats>(&mut tx, hasher, &policy, who, token).await?;
    tx.commit().await.unwrap();
    Ok(done)
}

async fn listed(world: &World, by: Principal, tenant: TenantId) -> Vec<Invite<Role>> {
    let grant = world.grant::<NotesRead>(by, tenant).await;
    invites::list(world.tenants.read(grant), None, 100).await.unwrap()
}

async fn revoked(
    world: &World,
    by: Principal,
    tenant: TenantId,
    id: InviteId,
) -> Result<(), RevokeError> {
    let grant = world.grant::<Leave>(by, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    invites::revoke(&mut tx, id).await?;
    tx.commit().await.unwrap();
    Ok(())
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
async fn invite_rules_hold_at_creation_and_at_acceptance() {
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
async fn invite_accepted_concurrently_makes_one_member() {
    let world = Arc::new(World::new(8).await);
    let owner = world.user("owner").await;
    let guest = world.user("guest").await;
    for round in 0..5 {
        let tenant = world.tenant(owner).await;
        let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
        let mut crowd = JoinSet::new();
        for _ in 0..24 {
            let (world, token) = (Arc::clone(&world), token.clone());
            crowd.spawn(async move { accepted(&world, guest, &token).await });
        }
        let (joined, refused): (Vec<_>, Vec<_>) =
            crowd.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(joined.len(), 1, "round {round}");
        for refused in refused {
            assert!(matches!(refused, Err(AcceptError::Invalid)), "round {round}: {refused:?}");
        }
        assert_eq!(world.access(guest, tenant).await.role(), Role::Viewer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_downgrade_ten_invites_fill_the_last_free_seat() {
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
async fn invite_ends_by_expiry_revocation_or_use() {
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
    let listed = listed(&world, owner, tenant).await;
    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    let statuses: Vec<_> = listed.iter().map(|invite| invite.status).collect();
    assert_eq!(statuses, [InviteStatus::Pending, InviteStatus::Accepted]);
    let refused = invites::revoke(&mut tx, listed[1].id).await;
    assert!(matches!(refused, Err(RevokeError::Accepted)), "{refused:?}");
    for _ in 0..2 {
        invites::revoke(&mut tx, listed[0].id).await.unwrap();
    }
    let refused = invites::revoke(&mut tx, InviteId::generate()).await;
    assert!(matches!(refused, Err(RevokeError::NotFound)), "{refused:?}");
    tx.commit().await.unwrap();

    // What is stored is not the token.
    let dump: String = sqlx::query_scalar("select string_agg(i::text, ' ') from mt.invites i")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert!(!dump.contains(&used), "{dump}");
}

#[tokio::test]
async fn repeated_invite_replaces_token_role_and_expiry() {
    let world = World::new(2).await;
    let (owner, guest) = (world.user("owner").await, world.user("guest").await);
    let tenant = world.tenant(owner).await;
    let first = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let before = listed(&world, owner, tenant).await;
    sqlx::query("update mt.invites set expires_at = now()")
        .execute(world.db.admin())
        .await
        .unwrap();
    assert_eq!(listed(&world, owner, tenant).await[0].status, InviteStatus::Expired);
    let second = made(&world, owner, tenant, "guest", Role::Editor).await.unwrap();
    let after = listed(&world, owner, tenant).await;
    assert_eq!((after.len(), after[0].id), (1, before[0].id));
    assert_eq!((after[0].status, after[0].role), (InviteStatus::Pending, Role::Editor));
    let refused = accepted(&world, guest, &first).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    let joined = accepted(&world, guest, &second).await.unwrap();
    assert_eq!(joined, Accepted { tenant, role: Role::Editor, custom_role: None });
}

#[tokio::test]
async fn refused_invite_stays_valid() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let (guest, other) = (world.user("guest").await, world.user("other").await);
    let tenant = world.tenant(owner).await;
    let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let before = listed(&world, owner, tenant).await;

    let refused = accepted(&world, other, &token).await;
    assert!(matches!(refused, Err(AcceptError::OtherAddress)), "{refused:?}");
    for suspension in ["suspension = 'read_only'", "suspension = 'full'"] {
        world.set(tenant, suspension).await;
        let refused = accepted(&world, guest, &token).await;
        assert!(matches!(refused, Err(AcceptError::Denied(Denied::Suspended))), "{refused:?}");
    }
    world.set(tenant, "suspension = 'none', subscription_status = 'past_due'").await;
    let refused = accepted(&world, guest, &token).await;
    assert!(matches!(refused, Err(AcceptError::Denied(Denied::PaymentRequired))), "{refused:?}");
    world.set(tenant, "subscription_status = 'active'").await;

    assert_eq!(listed(&world, owner, tenant).await, before);
    accepted(&world, guest, &token).await.unwrap();
}

#[tokio::test]
async fn revoked_invite_is_invalid_and_its_address_can_be_invited_again() {
    let world = World::new(2).await;
    let (owner, guest) = (world.user("owner").await, world.user("guest").await);
    let tenant = world.tenant(owner).await;
    let dead = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let id = listed(&world, owner, tenant).await[0].id;
    for _ in 0..2 {
        revoked(&world, owner, tenant, id).await.unwrap();
    }
    assert_eq!(listed(&world, owner, tenant).await[0].status, InviteStatus::Revoked);
    let refused = accepted(&world, guest, &dead).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");

    let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let again = listed(&world, owner, tenant).await;
    assert_eq!(again.len(), 2);
    assert_ne!(again[0].id, id);
    accepted(&world, guest, &token).await.unwrap();
    let refused = revoked(&world, owner, tenant, again[0].id).await;
    assert!(matches!(refused, Err(RevokeError::Accepted)), "{refused:?}");
}

/// Another tenant's invite is not found, even by its id.
#[tokio::test]
async fn invite_of_another_tenant_cannot_be_revoked() {
    let world = World::new(2).await;
    let (owner, stranger) = (world.user("owner").await, world.user("stranger").await);
    let (tenant, other) = (world.tenant(owner).await, world.tenant(stranger).await);
    made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let before = listed(&world, owner, tenant).await;
    let refused = revoked(&world, stranger, other, before[0].id).await;
    assert!(matches!(refused, Err(RevokeError::NotFound)), "{refused:?}");
    assert_eq!(listed(&world, owner, tenant).await, before);
    assert!(listed(&world, stranger, other).await.is_empty());
}

/// Four seats: an owner and three invites. The invites hold their seats until they end.
#[tokio::test]
async fn pending_invites_count_as_seats() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    for name in ["a", "b", "c"] {
        made(&world, owner, tenant, name, Role::Viewer).await.unwrap();
    }
    let full = async || {
        let refused = made(&world, owner, tenant, "d", Role::Viewer).await;
        matches!(refused, Err(InviteError::CapReached(reached))
            if (reached.resource, reached.cap) == ("members", 4))
    };
    assert!(full().await);
    // One that holds a seat already needs no other.
    made(&world, owner, tenant, "a", Role::Viewer).await.unwrap();
    assert!(full().await);
    sqlx::query("update mt.invites set expires_at = now() where email = 'b@example.org'")
        .execute(world.db.admin())
        .await
        .unwrap();
    made(&world, owner, tenant, "d", Role::Viewer).await.unwrap();
    // And the one that gave its seat up by expiring needs one to come back.
    let refused = made(&world, owner, tenant, "b", Role::Viewer).await;
    assert!(matches!(refused, Err(InviteError::CapReached(_))), "{refused:?}");
}

/// Either the acceptance commits before its inviter is demoted, or it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demotion_and_acceptance_of_an_invite_are_serialized() {
    let world = Arc::new(World::new(4).await);
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let guest = world.user("guest").await;
    for round in 0..20 {
        let tenant = world.tenant(owner).await;
        world.join(tenant, editor, Role::Editor).await;
        let token = made(&world, editor, tenant, "guest", Role::Viewer).await.unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let accepting = {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                accepted(&world, guest, &token).await
            })
        };
        let grant = world.grant::<Manage>(owner, tenant).await;
        barrier.wait().await;
        let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
        tx.assign_role(editor.id(), Role::Viewer).await.unwrap();
        // What the demotion finds under the tenant's lock decides what the acceptance may say.
        let joined = Member::find(&mut tx, guest.id()).await.unwrap().is_some();
        tx.commit().await.unwrap();
        match accepting.await.unwrap() {
            Ok(_) => assert!(joined, "round {round}: accepted after the demotion"),
            Err(AcceptError::Invalid) => assert!(!joined, "round {round}"),
            Err(error) => panic!("round {round}: {error}"),
        }
    }
}

#[tokio::test]
async fn invite_survives_secret_rotation_and_no_unrelated_secret() {
    let world = World::new(2).await;
    let (owner, guest) = (world.user("owner").await, world.user("guest").await);
    let tenant = world.tenant(owner).await;
    let token = made(&world, owner, tenant, "guest", Role::Viewer).await.unwrap();
    let other = TokenHasher::new(b"another secret, that was never used");
    let refused = accepted_with(&world, &other, guest, &token).await;
    assert!(matches!(refused, Err(AcceptError::Invalid)), "{refused:?}");
    let rotated = other.with_previous(b"a secret of the tests, 32 bytes or more");
    accepted_with(&world, &rotated, guest, &token).await.unwrap();
}
