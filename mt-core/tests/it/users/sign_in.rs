//! Magic links, users and signing out, sequentially and concurrently.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessError;
use mt_core::email::EmailAddress;
use mt_core::pg::{BeginError, RedeemError, User};
use mt_core::token::{SecretToken, TokenHasher};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{NotesRead, SETUP, World, email};

const TTL: Duration = Duration::from_mins(10);
const CLIENTS: usize = 24;

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes.")
}

async fn link(world: &World, email: &EmailAddress) -> SecretToken {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let token = User::make_magic_link(&mut tx, &hasher(), email, TTL).await.unwrap();
    tx.commit().await.unwrap();
    token.expect("fewer links than an address may have")
}

async fn redeem_with(
    world: &World,
    hasher: &TokenHasher,
    token: &str,
) -> Result<User, RedeemError> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let redeemed = User::redeem_magic_link(&mut tx, hasher, token).await;
    match redeemed {
        Ok(_) => tx.commit().await.unwrap(),
        Err(_) => tx.rollback().await.unwrap(),
    }
    redeemed
}

async fn redeem(world: &World, token: &SecretToken) -> Result<User, RedeemError> {
    redeem_with(world, &hasher(), token.reveal()).await
}

/// Redeems all `tokens` at the same moment.
async fn redeem_at_once(
    world: &Arc<World>,
    tokens: Vec<SecretToken>,
) -> Vec<Result<User, RedeemError>> {
    let barrier = Arc::new(Barrier::new(tokens.len()));
    let mut clients = JoinSet::new();
    for token in tokens {
        let (world, barrier) = (Arc::clone(world), Arc::clone(&barrier));
        clients.spawn(async move {
            barrier.wait().await;
            redeem(&world, &token).await
        });
    }
    clients.join_all().await
}

const LIVE: &str = "select count(*) from mt.magic_links \
     where used_at is null and voided_at is null and expires_at > now()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_redeemed_concurrently_admits_one() {
    let world = Arc::new(World::new(16).await);
    for round in 0..5 {
        let token = link(&world, &email(&format!("crowd{round}"))).await;
        let barrier = Arc::new(Barrier::new(CLIENTS));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            let token = token.reveal().to_owned();
            clients.spawn(async move {
                barrier.wait().await;
                redeem_with(&world, &hasher(), &token).await
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            clients.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        for refused in lost {
            assert!(matches!(refused, Err(RedeemError::Used)), "round {round}: {refused:?}");
        }
        let users = world.count("select count(*) from mt.users").await;
        assert_eq!(users, i64::from(round) + 1, "round {round}");
    }
}

/// The negative control: asking first and using up afterwards lets several of the crowd in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checking_a_link_before_marking_it_used_admits_many() {
    let world = Arc::new(World::new(16).await);
    link(&world, &email("crowd")).await;
    let barrier = Arc::new(Barrier::new(8));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
        clients.spawn(async move {
            let mut tx = world.database.system().begin(SETUP).await.unwrap();
            let unused: i64 = sqlx::query_scalar(LIVE).fetch_one(tx.conn()).await.unwrap();
            barrier.wait().await;
            sqlx::query("update mt.magic_links set used_at = now()")
                .execute(tx.conn())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            unused == 1
        });
    }
    let let_in = clients.join_all().await.into_iter().filter(|let_in| *let_in).count();
    assert!(let_in > 1, "the crowd was too tame for the test above to mean anything");
}

#[tokio::test]
async fn refused_magic_link_reports_the_reason() {
    let world = World::new(1).await;
    let ada = email("ada");
    let admin = world.db.admin();
    let expire = "update mt.magic_links set expires_at = now() - interval '1 second'";

    let refused = redeem_with(&world, &hasher(), "no such token").await.unwrap_err();
    assert!(matches!(refused, RedeemError::Invalid), "{refused:?}");

    let expired = link(&world, &ada).await;
    sqlx::query(expire).execute(admin).await.unwrap();
    let refused = redeem(&world, &expired).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Expired), "{refused:?}");
    assert_eq!(world.count("select count(*) from mt.users").await, 0);

    let (voided, used) = (link(&world, &ada).await, link(&world, &ada).await);
    redeem(&world, &used).await.unwrap();
    let refused = redeem(&world, &used).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Used), "{refused:?}");
    let refused = redeem(&world, &voided).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Invalid), "{refused:?}");

    // Used wins over expired, and so does voided.
    sqlx::query(expire).execute(admin).await.unwrap();
    let refused = redeem(&world, &used).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Used), "{refused:?}");
    let refused = redeem(&world, &voided).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Invalid), "{refused:?}");
}

async fn is_made(world: &World, email: &EmailAddress) -> bool {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let made = User::make_magic_link(&mut tx, &hasher(), email, TTL).await.unwrap();
    tx.commit().await.unwrap();
    made.is_some()
}

/// Anyone may ask for links to any address, so asking takes nothing from those that were sent.
#[tokio::test]
async fn address_has_at_most_ten_valid_links_and_new_requests_void_none() {
    let world = World::new(1).await;
    let other = link(&world, &email("other")).await;
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(link(&world, &email("ada")).await);
    }
    for _ in 0..5 {
        assert!(!is_made(&world, &email("ada")).await);
    }
    assert_eq!(world.count(LIVE).await, 10 + 1);
    assert!(is_made(&world, &email("other")).await, "another address has its own");
    // The control: there is room again when one has expired.
    sqlx::query("update mt.magic_links set expires_at = now() where token_hash = $1")
        .bind(hasher().hash(tokens[9].reveal()).as_bytes())
        .execute(world.db.admin())
        .await
        .unwrap();
    assert!(is_made(&world, &email("ada")).await);
    assert!(!is_made(&world, &email("ada")).await);
    // The oldest is good. Using it voids the address's others, and those of no other address.
    redeem(&world, &tokens[0]).await.unwrap();
    let refused = redeem(&world, &tokens[1]).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Invalid), "{refused:?}");
    assert_eq!(world.count(LIVE).await, 2);
    redeem(&world, &other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_created_concurrently_are_at_most_ten() {
    let world = Arc::new(World::new(16).await);
    let barrier = Arc::new(Barrier::new(16));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
        clients.spawn(async move {
            // Before the transaction: a pooler has fewer connections than there are clients here.
            barrier.wait().await;
            let mut tx = world.database.system().begin(SETUP).await.unwrap();
            User::make_magic_link(&mut tx, &hasher(), &email("ada"), TTL).await.unwrap();
            tx.commit().await.unwrap();
        });
    }
    clients.join_all().await;
    assert_eq!(world.count(LIVE).await, 10);
}

/// Each of the three voids the other two: without an order among them that is a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_one_address_redeemed_concurrently_admit_one() {
    let world = Arc::new(World::new(8).await);
    for round in 0..20 {
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(link(&world, &email("ada")).await);
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            redeem_at_once(&world, tokens).await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {lost:?}");
        for refused in lost {
            assert!(matches!(refused, Err(RedeemError::Invalid)), "round {round}: {refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_concurrent_first_sign_ins_make_one_user() {
    let world = Arc::new(World::new(8).await);
    for round in 0..10 {
        let name = format!("first{round}");
        let barrier = Arc::new(Barrier::new(2));
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            let email = email(&name);
            clients.spawn(async move {
                let mut tx = world.database.system().begin(SETUP).await.unwrap();
                barrier.wait().await;
                let user = User::find_or_create(&mut tx, &email).await.unwrap();
                tx.commit().await.unwrap();
                user
            });
        }
        let users = clients.join_all().await;
        assert_eq!(users[0], users[1], "round {round}");
    }
    assert_eq!(world.count("select count(*) from mt.users").await, 10);
}

#[tokio::test]
async fn spellings_of_one_mailbox_are_one_user() {
    let world = World::new(1).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let mut ids = Vec::new();
    for typed in ["ada@example.org", " Ada@Example.ORG ", "ADA@EXAMPLE.ORG"] {
        let user =
            User::find_or_create(&mut tx, &EmailAddress::parse(typed).unwrap()).await.unwrap();
        assert_eq!(user.email, "ada@example.org");
        assert_eq!(User::email_of(&mut tx, user.id).await.unwrap().as_ref(), Some(&user.email));
        ids.push(user.id);
    }
    tx.commit().await.unwrap();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // A link sent to one spelling signs in the user of another spelling.
    let token = link(&world, &EmailAddress::parse("aDA@example.org").unwrap()).await;
    assert_eq!(redeem(&world, &token).await.unwrap().id, ids[0]);
}

#[tokio::test]
async fn signing_out_ends_every_token_issued_before_it() {
    let world = World::new(1).await;
    let before = world.user("ada").await;
    let tenant = world.tenant(before).await;
    let grant = world.grant::<NotesRead>(before, tenant).await;
    world.database.principals().begin(before).await.unwrap().commit().await.unwrap();
    let system = world.database.system();
    system.begin_for(before, SETUP).await.unwrap().rollback().await.unwrap();

    let mut tx = system.begin(SETUP).await.unwrap();
    User::sign_out(&mut tx, before.id()).await.unwrap();
    tx.commit().await.unwrap();

    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = world.tenants.load_access(before, tenant).await.unwrap_err();
    assert!(matches!(refused, AccessError::SignedOut), "{refused:?}");
    let refused = world.database.principals().begin(before).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = system.begin_for(before, SETUP).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");

    // Signing in again is a new generation of the same user, and no other user was signed out.
    let after = world.user("ada").await;
    assert_eq!(after.id(), before.id());
    assert_ne!(after.generation(), before.generation());
    let _grant = world.grant::<NotesRead>(after, tenant).await;
    let mut tx = world.database.principals().begin(after).await.unwrap();
    let own = User::own(&mut tx).await.unwrap();
    assert_eq!((own.id, Some(own.generation)), (after.id(), after.generation()));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn only_the_signed_out_user_is_signed_out() {
    let world = World::new(1).await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    User::sign_out(&mut tx, eve.id()).await.unwrap();
    tx.commit().await.unwrap();
    world.database.principals().begin(ada).await.unwrap().commit().await.unwrap();
    let refused = world.database.principals().begin(eve).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
}

#[tokio::test]
async fn links_survive_secret_rotation_and_no_unrelated_secret() {
    let world = World::new(1).await;
    let token = link(&world, &email("ada")).await;
    let stranger = TokenHasher::new(b"another secret of the tests.....");
    let refused = redeem_with(&world, &stranger, token.reveal()).await.unwrap_err();
    assert!(matches!(refused, RedeemError::Invalid), "{refused:?}");
    let rotated = stranger.with_previous(b"a secret of the tests, 32 bytes.");
    redeem_with(&world, &rotated, token.reveal()).await.unwrap();
}

/// Looks for `token` in every row of every table of schema `mt`, as text and as bytes.
async fn is_stored(world: &World, token: &str) -> bool {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname) \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'mt' and c.relkind in ('r', 'p')",
    )
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    assert!(tables.len() >= 5, "{tables:?}");
    for table in tables {
        // A row's text shows bytes in hex.
        let sql = format!(
            "select count(*) as hits from {table} r \
             where strpos(r::text, $1) > 0 or strpos(r::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0"
        );
        let row =
            sqlx::query(AssertSqlSafe(sql)).bind(token).fetch_one(world.db.admin()).await.unwrap();
        if row.get::<i64, _>("hits") > 0 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn magic_link_token_is_not_stored() {
    let world = World::new(1).await;
    let token = link(&world, &email("ada")).await;
    assert!(!is_stored(&world, token.reveal()).await);
    redeem(&world, &token).await.unwrap();
    assert!(!is_stored(&world, token.reveal()).await);

    // The negative control: as text and as bytes it would have been found.
    for planted in ["email = $1", "email = '', token_hash = convert_to($1, 'UTF8')"] {
        let sql = format!("update mt.magic_links set {planted}");
        let admin = world.db.admin();
        sqlx::query(AssertSqlSafe(sql)).bind(token.reveal()).execute(admin).await.unwrap();
        assert!(is_stored(&world, token.reveal()).await, "{planted}");
    }
}
