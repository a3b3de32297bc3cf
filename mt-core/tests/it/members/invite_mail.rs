//! Mailed invites: a repeated invite sends no second mail for a while, and the token in flight stays valid.

use std::time::Duration;

use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::User;
use mt_core::pg::invites::{self, AcceptError, InviteTerms, NewInvite};
use mt_core::token::TokenHasher;

use crate::support::{Acme, NotesWrite, Role, SETUP, Seats, World, email};

const HOUR: Duration = Duration::from_hours(1);
const MAILED: InviteTerms = InviteTerms { ttl: HOUR, mail_interval: Some(Duration::from_mins(1)) };
const NOT_MAILED: InviteTerms = InviteTerms { ttl: HOUR, mail_interval: None };

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes or more")
}

struct Fixture {
    world: World,
    owner: Principal,
    guest: Principal,
    tenant: TenantId,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new(2).await;
        let (owner, guest) = (world.user("owner").await, world.user("guest").await);
        let tenant = world.tenant(owner).await;
        Self { world, owner, guest, tenant }
    }

    async fn invite(&self, terms: InviteTerms) -> NewInvite<Role> {
        let grant = self.world.grant::<NotesWrite>(self.owner, self.tenant).await;
        let (mut tx, cap) =
            self.world.tenants.begin(grant).exclusive().capped::<Seats>().await.unwrap();
        let made =
            invites::invite(&mut tx, cap, &hasher(), &email("guest"), Role::Viewer, terms).await;
        tx.commit().await.unwrap();
        made.unwrap()
    }

    /// Whether the token would let the guest in. Nothing comes of it.
    async fn opens(&self, made: &NewInvite<Role>) -> bool {
        let mut tx = self.world.database.system().begin_for(self.guest, SETUP).await.unwrap();
        let (policy, token) = (StandingPolicy::default(), made.token.reveal());
        let done =
            invites::accept::<Acme, Seats>(&mut tx, &hasher(), &policy, self.guest, token).await;
        tx.rollback().await.unwrap();
        match done {
            Ok(_) => true,
            Err(AcceptError::Invalid) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.world.db.admin()).await.unwrap();
    }
}

#[tokio::test]
async fn while_mail_is_in_flight_its_token_and_the_newest_are_valid() {
    let fixture = Fixture::new().await;
    let mailed = fixture.invite(MAILED).await;
    let second = fixture.invite(MAILED).await;
    let third = fixture.invite(MAILED).await;
    assert_eq!([&mailed, &second, &third].map(|made| made.is_mail_due), [true, false, false]);
    assert!([&second, &third].iter().all(|made| made.invite.id == mailed.invite.id));
    assert!(fixture.opens(&mailed).await && fixture.opens(&third).await);
    assert!(!fixture.opens(&second).await, "neither mailed nor the newest");

    // The next mail replaces the one before.
    fixture.sql("update mt.invites set mailed_at = now() - interval '1 minute'").await;
    let fourth = fixture.invite(MAILED).await;
    assert!(fourth.is_mail_due && fourth.invite.id == mailed.invite.id);
    assert!(fixture.opens(&fourth).await);
    assert!(!fixture.opens(&mailed).await && !fixture.opens(&third).await);
}

/// The control: without mail, a token voids the one before at once.
#[tokio::test]
async fn without_mail_a_repeated_invite_voids_the_previous_token() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.invite(NOT_MAILED).await, fixture.invite(NOT_MAILED).await);
    assert!(first.is_mail_due && second.is_mail_due);
    assert!(!fixture.opens(&first).await && fixture.opens(&second).await);
}

#[tokio::test]
async fn both_tokens_become_invalid_with_the_invite() {
    let fixture = Fixture::new().await;
    for end in [
        "update mt.invites set revoked_at = now() where revoked_at is null",
        "update mt.invites set expires_at = now()",
        "update mt.invites set accepted_at = now() where revoked_at is null",
    ] {
        let (mailed, newest) = (fixture.invite(MAILED).await, fixture.invite(MAILED).await);
        assert!(fixture.opens(&mailed).await && fixture.opens(&newest).await, "{end}");
        fixture.sql(end).await;
        assert!(!fixture.opens(&mailed).await && !fixture.opens(&newest).await, "{end}");
        // The mail of an ended invite does not count, so the next invite is mailed.
        fixture.sql("update mt.invites set revoked_at = now() where accepted_at is null").await;
        assert!(fixture.invite(MAILED).await.is_mail_due, "{end}");
        fixture.sql("update mt.invites set revoked_at = now() where accepted_at is null").await;
    }
}

/// The limits on links ask this before they refuse the network of the address itself.
#[tokio::test]
async fn network_is_known_for_the_address_that_signed_in_from_it() {
    let world = World::new(2).await;
    let (ada, bob) = (email("ada"), email("bob"));
    let system = world.database.system();
    let knows = async |hasher: &TokenHasher, email, network| {
        let mut tx = system.begin(SETUP).await.unwrap();
        let knows = User::knows_network(&mut tx, hasher, email, network).await.unwrap();
        tx.commit().await.unwrap();
        knows
    };
    assert!(!knows(&hasher(), &ada, "192.0.2.1/32").await);
    for _ in 0..2 {
        let mut tx = system.begin(SETUP).await.unwrap();
        let user = User::find_or_create(&mut tx, &ada).await.unwrap();
        user.remember_network(&mut tx, &hasher(), "192.0.2.1/32").await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(knows(&hasher(), &ada, "192.0.2.1/32").await);
    assert!(!knows(&hasher(), &ada, "192.0.2.2/32").await);
    assert!(!knows(&hasher(), &bob, "192.0.2.1/32").await);
    // While secrets are rotated, and after.
    let previous = b"a secret of the tests, 32 bytes or more";
    let rotated = TokenHasher::new(b"the next secret of the tests, 32 bytes");
    assert!(!knows(&rotated, &ada, "192.0.2.1/32").await);
    assert!(knows(&rotated.with_previous(previous), &ada, "192.0.2.1/32").await);
    assert_eq!(world.count("select count(*) from mt.sign_in_networks").await, 1);
    let day = Duration::from_hours(24);
    assert_eq!(User::purge_networks(&system, day).await.unwrap(), 0);
    let old = "update mt.sign_in_networks set seen_at = now() - interval '25 hours'";
    sqlx::query(old).execute(world.db.admin()).await.unwrap();
    assert_eq!(User::purge_networks(&system, day).await.unwrap(), 1);
}
