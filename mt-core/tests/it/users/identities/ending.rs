//! How signing out, removal, unlinking and deletion end the tokens of providers.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mt_core::access::{AccessError, AccessRequest};
use mt_core::auth::openid::FirstSight;
use mt_core::auth::{Authenticator as _, Principal};
use mt_core::clock::{Clock as _, ManualClock, SystemClock};
use mt_core::id::PrincipalId;
use mt_core::pg::{BeginError, User};
use serde_json::json;

use super::{IDENTITIES, claims, link, signer, token, token_of, tokens, tokens_of, unlink};
use crate::support::{NotesRead, Role, SETUP, World};

fn token_at(subject: &str, issued: DateTime<Utc>) -> String {
    let mut claims = claims(subject);
    claims["iat"] = json!(issued.timestamp());
    signer().token(&claims)
}

async fn sign_out(world: &World, user: PrincipalId) -> DateTime<Utc> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    User::sign_out(&mut tx, user).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query_scalar("select signed_out_at from mt.users where id = $1")
        .bind(user.as_uuid())
        .fetch_one(world.db.admin())
        .await
        .unwrap()
}

#[tokio::test]
async fn sign_out_everywhere_ends_tokens_issued_until_then() {
    let world = World::new(2).await;
    let tokens = tokens(&world, FirstSight::CreateUser);
    let before = tokens.authenticate(&token_of("a|1", "ada", true)).await.unwrap();
    let tenant = world.tenant(before).await;
    let system = world.database.system();
    world.access(before, tenant).await;
    let grant = AccessRequest::<NotesRead>::new(before, tenant);
    world.tenants.begin(grant).await.unwrap().rollback().await.unwrap();
    world.database.principals().begin(before).await.unwrap().commit().await.unwrap();
    system.begin_for(before, SETUP).await.unwrap().rollback().await.unwrap();

    let signed_out_at = sign_out(&world, before.id()).await;
    // The token still authenticates: it is the transaction that refuses it.
    let same_second = tokens.authenticate(&token_at("a|1", signed_out_at)).await.unwrap();
    for ended in [before, same_second] {
        let refused = world.tenants.load_access(ended, tenant).await.unwrap_err();
        assert!(matches!(refused, AccessError::SignedOut), "{refused:?}");
        let grant = AccessRequest::<NotesRead>::new(ended, tenant);
        let refused = world.tenants.begin(grant).await.unwrap_err();
        assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
        let refused = world.database.principals().begin(ended).await.unwrap_err();
        assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
        let refused = system.begin_for(ended, SETUP).await.unwrap_err();
        assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    }
    // Signing in again works in the next second.
    let next_second = signed_out_at + TimeDelta::seconds(1);
    let after = tokens.authenticate(&token_at("a|1", next_second)).await.unwrap();
    assert_eq!(after.id(), before.id());
    world.access(after, tenant).await;
    world.database.principals().begin(after).await.unwrap().commit().await.unwrap();
    system.begin_for(after, SETUP).await.unwrap().rollback().await.unwrap();
}

#[tokio::test]
async fn every_statement_that_changes_the_generation_ends_tokens() {
    let world = World::new(2).await;
    let tokens = tokens(&world, FirstSight::CreateUser);
    let ada = tokens.authenticate(&token_of("a|1", "ada", true)).await.unwrap();
    let eve = tokens.authenticate(&token_of("e|1", "eve", true)).await.unwrap();
    // As a console, or a server of the previous release.
    world.sign_out(ada).await;
    let refused = world.database.principals().begin(ada).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    world.database.principals().begin(eve).await.unwrap().commit().await.unwrap();
    // Other changes do not sign out, and the time does not go back.
    let admin = world.db.admin();
    sqlx::query(
        "update mt.users set generation = generation, email = 'e@example.org' where id = $1",
    )
    .bind(eve.id().as_uuid())
    .execute(admin)
    .await
    .unwrap();
    world.database.principals().begin(eve).await.unwrap().commit().await.unwrap();
    sqlx::query("update mt.users set signed_out_at = '2999-01-01'").execute(admin).await.unwrap();
    assert!(sign_out(&world, eve.id()).await > SystemClock.now() + TimeDelta::days(300_000));
    // The negative control: without the trigger, such a statement leaves tokens valid.
    sqlx::query("update mt.users set signed_out_at = null").execute(admin).await.unwrap();
    sqlx::query("drop trigger users_keep_sign_out_time on mt.users").execute(admin).await.unwrap();
    world.sign_out(ada).await;
    world.database.principals().begin(ada).await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn removed_member_with_a_token_of_a_provider_is_not_a_member_at_the_next_transaction() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let tokens = tokens(&world, FirstSight::CreateUser);
    let token = token_of("a|1", "ada", true);
    let ada = tokens.authenticate(&token).await.unwrap();
    world.join(tenant, ada, Role::Editor).await;
    let grant = AccessRequest::<NotesRead>::new(ada, tenant);
    world.tenants.begin(grant).await.unwrap().rollback().await.unwrap();
    world.remove(tenant, ada).await;
    let ada = tokens.authenticate(&token).await.unwrap();
    let grant = AccessRequest::<NotesRead>::new(ada, tenant);
    let refused = world.tenants.begin(grant).await.unwrap_err();
    assert!(matches!(refused, BeginError::NotAMember), "{refused:?}");
}

#[tokio::test]
async fn unlinked_identity_opens_no_transaction_even_if_it_is_remembered() {
    let world = World::new(2).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let tenant = world.tenant(ada).await;
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let identities = world.database.identities().with_clock(Arc::clone(&clock));
    let remembering = tokens_of(identities, FirstSight::Refuse);
    let first = link(&world, ada.id(), "a|1").await.unwrap();
    let second = link(&world, ada.id(), "a|2").await.unwrap();
    let other = remembering.authenticate(&token("a|2")).await.unwrap();
    let principal = remembering.authenticate(&token("a|1")).await.unwrap();
    world.access(principal, tenant).await;

    assert!(unlink(&world, ada.id(), &first).await);
    // Without and with a new link, to another user.
    for _ in 0..2 {
        let ended = remembering.authenticate(&token("a|1")).await.unwrap();
        let refused = world.tenants.load_access(ended, tenant).await.unwrap_err();
        assert!(matches!(refused, AccessError::SignedOut), "{refused:?}");
        let refused = world.database.principals().begin(ended).await.unwrap_err();
        assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
        let refused = world.database.system().begin_for(ended, SETUP).await.unwrap_err();
        assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
        let again = link(&world, bob.id(), "a|1").await.unwrap();
        assert_ne!(again.id, first.id);
    }
    // Another process sees the new link at once, this one after a minute.
    let fresh = tokens(&world, FirstSight::Refuse);
    assert_eq!(fresh.authenticate(&token("a|1")).await.unwrap().id(), bob.id());
    clock.advance(TimeDelta::seconds(61));
    let relinked = remembering.authenticate(&token("a|1")).await.unwrap();
    assert_eq!(relinked.id(), bob.id());
    world.database.principals().begin(relinked).await.unwrap().commit().await.unwrap();
    // Other credentials of the user go on, and a credential without an identity is the control.
    world.access(other, tenant).await;
    world.access(ada, tenant).await;
    world.access(Principal::new(ada.id()).by_identity(second.id), tenant).await;
    let mixed = Principal::new(bob.id()).by_identity(second.id);
    let refused = world.database.principals().begin(mixed).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "an identity of another user: {refused:?}");
}

#[tokio::test]
async fn deleted_user_opens_no_transaction() {
    let world = World::new(2).await;
    let tokens = tokens(&world, FirstSight::CreateUser);
    let token = token_of("a|1", "ada", true);
    let ada = tokens.authenticate(&token).await.unwrap();
    sqlx::query("delete from mt.users where id = $1")
        .bind(ada.id().as_uuid())
        .execute(world.db.admin())
        .await
        .unwrap();
    assert_eq!(world.count(IDENTITIES).await, 0);
    let remembered = tokens.authenticate(&token).await.unwrap();
    let refused = world.database.principals().begin(remembered).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
}
