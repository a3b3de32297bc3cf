//! Seats: one is taken before a connection is waited for, and released with the connection.

use std::time::{Duration, Instant};

use mt_core::access::{AccessError, AccessRequest};
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, SystemReason, query_scalar};
use mt_core::shares::Shares;
use mt_core::testing::TestDatabase;
use sqlx::Executor as _;

use crate::support::{
    ALL_NOTES, Manage, NotesRead, NotesWrite, Role, SETUP, World, all_notes, write_note,
};
use crate::transactions::cancellation::cancelled_after;

/// Waits until every seat and every connection is back.
async fn at_rest(world: &World) {
    let rest = async {
        loop {
            let (shares, pool) = (world.database.shares().stats(), world.database.pool_stats());
            if (shares.in_use, shares.waiting, pool.waiting) == (0, 0, 0) && pool.idle == pool.size
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let rested = tokio::time::timeout(Duration::from_secs(5), rest).await;
    rested.unwrap_or_else(|_| {
        panic!("{:?} {:?}", world.database.shares(), world.database.pool_stats())
    });
}

fn in_use(world: &World) -> u32 {
    world.database.shares().stats().in_use
}

async fn fixture(connections: u32) -> (World, Principal, TenantId) {
    let world = World::new(connections).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    (world, owner, tenant)
}

#[tokio::test]
async fn seat_is_held_as_long_as_the_connection() {
    let (world, owner, tenant) = fixture(4).await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    assert_eq!(in_use(&world), 1);
    write_note(&mut tx, "one").await;
    tx.commit().await.unwrap();
    assert_eq!(in_use(&world), 0);

    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let tx = world.tenants.begin(grant).await.unwrap();
    assert_eq!(in_use(&world), 1);
    tx.rollback().await.unwrap();
    assert_eq!(in_use(&world), 0);

    // Dropped between statements it is rolled back first, and in the middle of one it is closed.
    let grant = world.grant::<NotesRead>(owner, tenant).await;
    drop(world.tenants.begin(grant).await.unwrap());
    at_rest(&world).await;
    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).await.unwrap();
    let slow = sqlx::query("select pg_sleep(60)").execute(tx.query::<NotesRead>());
    assert!(tokio::time::timeout(Duration::from_millis(20), slow).await.is_err());
    drop(tx);
    at_rest(&world).await;

    // Refused by the facts, and by the principal's own state.
    let member = world.user("member").await;
    world.join(tenant, member, Role::Viewer).await;
    let access = world.access(member, tenant).await;
    world.remove(tenant, member).await;
    assert!(world.tenants.begin(access.authorize::<NotesRead>().unwrap()).await.is_err());
    at_rest(&world).await;
    world.sign_out(member).await;
    assert!(world.database.principals().begin(member).await.is_err());
    assert!(world.database.system().begin_for(member, SETUP).await.is_err());
    at_rest(&world).await;
}

/// Wherever it is dropped: while it waits for a seat, for a connection, or in the middle of the opening.
#[tokio::test]
async fn dropping_at_any_poll_releases_the_seat() {
    let (world, owner, tenant) = fixture(4).await;
    let access = world.access(owner, tenant).await;
    let (mut dropped, mut finished) = (0, 0);
    for polls in 0..600 {
        // Half of the time, the two seats of the principal are taken.
        let mut taken = Vec::new();
        for _ in 0..if polls % 2 == 0 { 2 } else { 0 } {
            let grant = access.authorize::<NotesRead>().unwrap();
            taken.push(world.tenants.begin(grant).await.unwrap());
        }
        let tenants = world.tenants.clone();
        let grant = access.authorize::<NotesRead>().unwrap();
        let mut waiting = Box::pin(async move {
            let mut tx = tenants.begin(grant).await.unwrap();
            all_notes(&mut tx).await;
            tx.commit().await.unwrap();
        });
        if !taken.is_empty() {
            assert!(futures_util::poll!(&mut waiting).is_pending());
            assert_eq!(world.database.shares().stats().waiting, 1);
        }
        drop(taken);
        match cancelled_after(polls % 16, waiting).await {
            true => dropped += 1,
            false => finished += 1,
        }
    }
    assert!(dropped > 60 && finished > 0, "dropped {dropped}, finished {finished}");
    at_rest(&world).await;
}

/// A page over many tenants is the principal's own, as every transaction outside of tenants is.
#[tokio::test]
async fn read_in_many_tenants_uses_the_principals_share() {
    let (world, owner, tenant) = fixture(4).await;
    let (asked, notes) = ([tenant], |_| query_scalar::<String>(ALL_NOTES));
    // Of four connections that is one.
    let other = world.database.principals().begin(owner).await.unwrap();
    let mut reading = Box::pin(world.tenants.read_each::<NotesRead, _>(owner, &asked, notes));
    assert!(futures_util::poll!(&mut reading).is_pending());
    assert_eq!(world.database.shares().stats().waiting, 1, "for a seat, and without a connection");
    drop(other);
    assert_eq!(reading.await.unwrap().len(), 1);
    at_rest(&world).await;
}

/// The seat goes over to the fresh connection, and back with that.
#[tokio::test]
async fn repeated_begin_keeps_its_seat() {
    let (world, owner, tenant) = fixture(4).await;
    for _ in 0..10 {
        let access = world.access(owner, tenant).await;
        world
            .db
            .admin()
            .execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
                 where datname = current_database() and usename <> current_user",
            )
            .await
            .unwrap();
        let tx = world.tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
        assert_eq!(in_use(&world), 1);
        tx.commit().await.unwrap();
        at_rest(&world).await;
    }
}

#[tokio::test]
async fn member_waits_for_own_transactions_and_owner_for_none() {
    let (world, owner, tenant) = fixture(8).await;
    let (member, other) = (world.user("member").await, world.user("other").await);
    world.join(tenant, member, Role::Editor).await;
    world.join(tenant, other, Role::Editor).await;
    let database = impatient(&world.db).await;
    let tenants = database.tenants(mt_core::billing::StandingPolicy::default());
    for who in [owner, member, other] {
        tenants.load_access(who, tenant).await.unwrap();
    }
    let begin = async |who| tenants.begin(AccessRequest::<NotesRead>::new(who, tenant)).await;
    // Of six seats a member has two; the sixth is the owners', and the fifth for changes to members.
    let mut open = Vec::new();
    for who in [member, member, other, other] {
        open.push(begin(who).await.unwrap());
    }
    let begun = Instant::now();
    for who in [member, other] {
        let refused = begin(who).await.unwrap_err();
        let BeginError::Pg(PgError::Unavailable(cause)) = refused else { panic!("{refused:?}") };
        assert!(cause.to_string().contains("its share of the connections"), "{cause}");
    }
    assert!(begun.elapsed() >= 2 * IMPATIENT);
    assert_eq!(database.shares().stats().refused, 2);
    // An owner is served, also while a transaction that changes members has the other reserved seat.
    let access = world.access(owner, tenant).await;
    let exclusive = access.authorize::<Manage>().unwrap();
    let exclusive = tenants.begin(exclusive).exclusive().await.unwrap();
    open.push(begin(owner).await.unwrap());
    assert_eq!(database.shares().stats().in_use, 6);
    exclusive.commit().await.unwrap();
    drop(open);
    let begun = Instant::now();
    begin(member).await.unwrap().commit().await.unwrap();
    assert!(begun.elapsed() < IMPATIENT);
}

const IMPATIENT: Duration = Duration::from_millis(300);

/// A pool of eight connections with a short wait.
async fn impatient(db: &TestDatabase) -> Database {
    let options = DatabaseOptions::new(db.login()).max_connections(8);
    let database = Database::connect(options.acquire_timeout(IMPATIENT)).await.unwrap();
    database.warm_up().await;
    database
}

/// Principals and anonymous requests together leave connections for the system.
#[tokio::test]
async fn system_gets_a_connection_while_all_shares_are_used() {
    const SIGN_IN: SystemReason = SystemReason::anonymous("sign a user in");
    let (world, ..) = fixture(8).await;
    let database = impatient(&world.db).await;
    let (principals, system) = (database.principals(), database.system());
    let mut of_principals = Vec::new();
    let mut anonymous = Vec::new();
    for _ in 0..2 {
        anonymous.push(system.begin(SIGN_IN).await.unwrap());
    }
    assert!(matches!(system.begin(SIGN_IN).await, Err(PgError::Unavailable(_))));
    for name in ["a", "b", "c", "d", "e", "f"] {
        let user = world.user(name).await;
        for _ in 0..2 {
            match principals.begin(user).await {
                Ok(tx) => of_principals.push(tx),
                Err(BeginError::Pg(PgError::Unavailable(_))) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((of_principals.len(), database.shares().stats().in_use), (5, 7));
    system.begin(SETUP).await.unwrap().commit().await.unwrap();
    drop((of_principals, anonymous));
}

/// Looks are of the principal's own share, for a member and a stranger alike.
#[tokio::test]
async fn lookups_by_non_members_use_no_share_of_the_tenant() {
    let (world, owner, tenant) = fixture(8).await;
    let stranger = world.user("stranger").await;
    let database = impatient(&world.db).await;
    let tenants =
        database.tenants::<crate::support::Acme>(mt_core::billing::StandingPolicy::default());
    // Of eight connections that is the stranger's share.
    let open = database.principals().begin(stranger).await.unwrap();
    let looked = tenants.load_access(stranger, tenant).await;
    assert!(matches!(looked, Err(AccessError::Unavailable(_))), "{looked:?}");
    let access = tenants.load_access(owner, tenant).await.unwrap();
    tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap().commit().await.unwrap();
    drop(open);
}

/// The control for the tests above: without shares one principal has all connections.
#[tokio::test]
async fn without_shares_one_principal_uses_every_connection() {
    let (world, owner, tenant) = fixture(4).await;
    let options = DatabaseOptions::new(world.db.login()).max_connections(4);
    let options = options.acquire_timeout(IMPATIENT).shares(Shares::of(1000));
    let database = Database::connect(options).await.unwrap();
    database.warm_up().await;
    let tenants =
        database.tenants::<crate::support::Acme>(mt_core::billing::StandingPolicy::default());
    let mut open = Vec::new();
    for _ in 0..4 {
        let access = world.access(owner, tenant).await;
        open.push(tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap());
    }
    assert!(database.system().begin(SETUP).await.is_err());
    drop(open);
}
