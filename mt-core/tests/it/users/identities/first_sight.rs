//! First sight of a subject, sequentially and concurrently.

use std::sync::Arc;

use mt_core::auth::openid::FirstSight;
use mt_core::auth::{AuthError, Authenticator as _, Principal};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{IDENTITIES, USERS, reason, token, token_of, tokens};
use crate::support::World;

#[tokio::test]
async fn verified_address_creates_a_user_and_an_unverified_one_does_not() {
    let world = World::new(2).await;
    let tokens = tokens(&world, FirstSight::CreateUser);
    for token in [token("a|1"), token_of("a|1", "ada", false), token_of("a|1", "not valid", true)] {
        let reason = reason(tokens.authenticate(&token).await);
        assert!(reason.contains("no verified e-mail address"), "{reason}");
    }
    assert_eq!(world.count(USERS).await, 0);
    let ada = tokens.authenticate(&token_of("a|1", "ada", true)).await.unwrap();
    // Later tokens need no address, and another address changes nothing.
    assert_eq!(tokens.authenticate(&token("a|1")).await.unwrap().id(), ada.id());
    assert_eq!(tokens.authenticate(&token_of("a|1", "eve", true)).await.unwrap().id(), ada.id());
    assert_eq!(world.user("ada").await.id(), ada.id());
    assert_eq!(world.count(USERS).await, 1);
}

#[tokio::test]
async fn existing_user_is_linked_by_address_only_if_that_is_allowed() {
    let world = World::new(2).await;
    let ada = world.user("ada").await;
    let token = token_of("attacker", "ada", true);
    let creating = tokens(&world, FirstSight::CreateUser);
    let refused = reason(creating.authenticate(&token).await);
    assert_eq!(refused, "unknown identity, and a user has its e-mail address");
    assert_eq!((world.count(USERS).await, world.count(IDENTITIES).await), (1, 0));

    let linking = tokens(&world, FirstSight::LinkOrCreateUser);
    assert_eq!(linking.authenticate(&token).await.unwrap().id(), ada.id());
    let new = linking.authenticate(&token_of("b", "bob", true)).await.unwrap();
    assert_eq!(new.id(), world.user("bob").await.id());
    let unverified = token_of("c", "ada", false);
    assert!(reason(linking.authenticate(&unverified).await).contains("no verified"));
}

/// Sends all tokens at the same moment, each from a process of its own.
async fn at_once(
    world: &Arc<World>,
    first_sight: FirstSight,
    all: Vec<String>,
) -> Vec<Result<Principal, AuthError>> {
    let barrier = Arc::new(Barrier::new(all.len()));
    let mut requests = JoinSet::new();
    for token in all {
        let (world, barrier) = (Arc::clone(world), Arc::clone(&barrier));
        requests.spawn(async move {
            let tokens = tokens(&world, first_sight);
            barrier.wait().await;
            tokens.authenticate(&token).await
        });
    }
    requests.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_requests_create_one_user_and_one_identity() {
    let world = Arc::new(World::without_shares(16).await);
    for (round, first_sight) in [FirstSight::CreateUser, FirstSight::LinkOrCreateUser]
        .into_iter()
        .cycle()
        .take(6)
        .enumerate()
    {
        let subject = format!("s{round}");
        // Two addresses: the user changed it between the two tokens.
        let all = (0..12).map(|n| token_of(&subject, &format!("u{round}-{}", n % 2), true));
        let answers = at_once(&world, first_sight, all.collect()).await;
        let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().id()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "round {round}: {ids:?}");
        let expected = i64::try_from(round).unwrap() + 1;
        assert_eq!(world.count(USERS).await, expected, "round {round}");
        assert_eq!(world.count(IDENTITIES).await, expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_subjects_with_one_address_get_one_user() {
    let world = Arc::new(World::without_shares(16).await);
    let all = |round: usize| {
        (0..8).map(|n| token_of(&format!("{round}-{n}"), &format!("u{round}"), true)).collect()
    };
    let answers = at_once(&world, FirstSight::CreateUser, all(0)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!((world.count(USERS).await, world.count(IDENTITIES).await), (1, 1));

    let answers = at_once(&world, FirstSight::LinkOrCreateUser, all(1)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((world.count(USERS).await, world.count(IDENTITIES).await), (2, 9));
}
