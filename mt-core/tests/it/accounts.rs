//! Magic links, users and signing out.

use std::sync::Arc;
use std::time::Duration;

use mt_core::auth::Principal;
use mt_core::pg::{BeginError, RedeemError, User};
use mt_core::token::TokenHasher;
use sqlx::Executor as _;
use tokio::task::JoinSet;

use crate::model::{SETUP, World, email};

fn hasher() -> TokenHasher {
    TokenHasher::new(b"a secret of the tests, 32 bytes or more")
}

async fn link(world: &World, name: &str) -> String {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let ttl = Duration::from_mins(10);
    let token = User::make_magic_link(&mut tx, &hasher(), &email(name), ttl).await.unwrap();
    tx.commit().await.unwrap();
    token.reveal().to_owned()
}

async fn redeem(world: &World, token: &str) -> Result<User, RedeemError> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let user = User::redeem_magic_link(&mut tx, &hasher(), token).await?;
    tx.commit().await.unwrap();
    Ok(user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_redeemed_by_many_at_once_signs_in_once() {
    let world = Arc::new(World::new(8).await);
    for round in 0..5 {
        let token = link(&world, "ada").await;
        let mut crowd = JoinSet::new();
        for _ in 0..24 {
            let (world, token) = (Arc::clone(&world), token.clone());
            crowd.spawn(async move {
                match redeem(&world, &token).await {
                    Ok(_) => true,
                    Err(RedeemError::Used) => false,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let signed_in = crowd.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(signed_in, 1, "round {round}");
    }
    assert_eq!(world.count("select count(*) from mt.users").await, 1);
}

#[tokio::test]
async fn each_way_in_which_a_link_can_be_no_good() {
    let world = World::new(1).await;
    let unknown = redeem(&world, "nonsense").await;
    assert!(matches!(unknown, Err(RedeemError::Invalid)), "{unknown:?}");

    let links = [
        link(&world, "ada").await,
        link(&world, "ada").await,
        link(&world, "ada").await,
        link(&world, "ada").await,
    ];
    let oldest = redeem(&world, &links[0]).await;
    assert!(matches!(oldest, Err(RedeemError::Invalid)), "only three live: {oldest:?}");
    redeem(&world, &links[2]).await.unwrap();
    let voided = redeem(&world, &links[3]).await;
    assert!(matches!(voided, Err(RedeemError::Invalid)), "voided by the other: {voided:?}");

    let late = link(&world, "ada").await;
    world.db.admin().execute("update mt.magic_links set expires_at = now()").await.unwrap();
    let expired = redeem(&world, &late).await;
    assert!(matches!(expired, Err(RedeemError::Expired)), "{expired:?}");
    let used = redeem(&world, &links[2]).await;
    assert!(matches!(used, Err(RedeemError::Used)), "used wins over expired: {used:?}");

    let dump: String = sqlx::query_scalar("select string_agg(l::text, ' ') from mt.magic_links l")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert!(links.iter().all(|token| !dump.contains(token)), "{dump}");
}

#[tokio::test]
async fn another_secret_opens_nothing() {
    let world = World::new(1).await;
    let token = link(&world, "ada").await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let other = TokenHasher::new(b"another secret, that was never used");
    let refused = User::redeem_magic_link(&mut tx, &other, &token).await;
    assert!(matches!(refused, Err(RedeemError::Invalid)), "{refused:?}");
    let rotated = other.with_previous(b"a secret of the tests, 32 bytes or more");
    User::redeem_magic_link(&mut tx, &rotated, &token).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn signing_out_ends_every_token_of_the_generation() {
    let world = World::new(1).await;
    let ada = world.user("ada").await;
    world.database.principals().begin(ada).await.unwrap().commit().await.unwrap();
    let mut tx = world.database.system().begin_for(ada, SETUP).await.unwrap();
    User::sign_out(&mut tx, ada.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.database.principals().begin(ada).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = world.database.system().begin_for(ada, SETUP).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let next = Principal::in_generation(ada.id(), 1);
    world.database.principals().begin(next).await.unwrap();
}
