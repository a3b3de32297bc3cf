//! Rotating, narrowing and revoking keys.

use mt_core::access::{AccessRequest, PermissionSet};
use mt_core::auth::{Authenticator as _, Principal};
use mt_core::id::{ApiKeyId, TenantId};
use mt_core::pg::api_keys::{self, ApiKeyError, IssuedKey, KeyHolder, NewApiKey};
use sqlx::Executor as _;

use super::{AN_HOUR, account, api_keys, caller, is_refused, issue, opens, owner};
use crate::support::{Acme, Leave, NotesRead, Role, SETUP, World};

async fn rotate(
    world: &World,
    by: Principal,
    tenant: TenantId,
    key: ApiKeyId,
) -> Result<IssuedKey<Acme>, ApiKeyError> {
    let mut tx =
        world.tenants.begin(AccessRequest::<Leave>::new(by, tenant)).exclusive().await.unwrap();
    let rotated = api_keys(&world.database).rotate(&mut tx, key, AN_HOUR).await?;
    tx.commit().await.unwrap();
    Ok(rotated)
}

async fn revoke(
    world: &World,
    by: Principal,
    tenant: TenantId,
    key: ApiKeyId,
) -> Result<(), ApiKeyError> {
    let mut tx =
        world.tenants.begin(AccessRequest::<Leave>::new(by, tenant)).exclusive().await.unwrap();
    api_keys::revoke(&mut tx, key).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn both_keys_of_a_rotation_work_until_the_old_one_ends() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let read = PermissionSet::parse(["notes.read"]).unwrap();
    let new = NewApiKey::new("nightly", KeyHolder::OnBehalfOfCaller(agent))
        .limited_to(read)
        .expiring_in(24 * AN_HOUR);
    let old = issue(&world, ada, acme, &new).await.unwrap();
    let rotated = rotate(&world, ada, acme, old.key.id).await.unwrap();
    assert_eq!((rotated.key.name.as_str(), rotated.key.permissions), ("nightly", Some(read)));
    assert_eq!((rotated.key.user, rotated.key.service_account), (Some(ada.id()), Some(agent)));
    let lasts = |key: &api_keys::ApiKey<Acme>| key.expires_at.unwrap() - key.created_at;
    assert_eq!(lasts(&rotated.key), lasts(&old.key));
    let keys = api_keys(&world.database);
    for issued in [&old, &rotated] {
        let key = keys.authenticate(issued.text.reveal()).await.unwrap();
        assert_eq!(opens(&world.tenants, key, acme).await, read);
    }
    // A third is not made while two can be used.
    for key in [old.key.id, rotated.key.id] {
        let refused = rotate(&world, ada, acme, key).await;
        assert!(matches!(refused, Err(ApiKeyError::TwoInUse)), "{refused:?}");
    }
    let ends: Vec<bool> =
        sqlx::query_scalar("select expires_at between now() and now() + interval '1 hour' from mt.api_keys order by id")
            .fetch_all(world.db.admin())
            .await
            .unwrap();
    assert_eq!(ends, [true, false]);
    revoke(&world, ada, acme, old.key.id).await.unwrap();
    let again = rotate(&world, ada, acme, rotated.key.id).await.unwrap();
    assert_ne!(again.text.reveal(), rotated.text.reveal());
}

/// The first rotation brings the end of the old key forward. That is not what the key was made for.
#[tokio::test]
async fn a_key_that_is_rotated_again_lasts_as_long_as_at_first() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    for lasts in [None, Some(24 * AN_HOUR)] {
        let new = NewApiKey::new("nightly", KeyHolder::Caller);
        let new = match lasts {
            Some(lasts) => new.expiring_in(lasts),
            None => new,
        };
        let first = issue(&world, ada, acme, &new).await.unwrap();
        for _ in 0..2 {
            let next = rotate(&world, ada, acme, first.key.id).await.unwrap();
            let made_for = next.key.expires_at.map(|end| end - next.key.created_at);
            assert_eq!(made_for.map(|time| time.to_std().unwrap()), lasts);
            revoke(&world, ada, acme, next.key.id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn members_rotate_their_own_keys_and_those_of_weaker_service_accounts() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    world.join(acme, bob, Role::Viewer).await;
    let [viewer, editor] = [
        account(&world, ada, acme, Role::Viewer).await,
        account(&world, ada, acme, Role::Editor).await,
    ];
    let (of_ada, key) = caller(&world, ada, acme, KeyHolder::Caller).await;
    let (of_viewer, _) = caller(&world, ada, acme, KeyHolder::ServiceAccount(viewer)).await;
    let (of_editor, _) = caller(&world, ada, acme, KeyHolder::ServiceAccount(editor)).await;
    let refused = rotate(&world, key, acme, of_ada.key.id).await;
    assert!(matches!(refused, Err(ApiKeyError::ByKey)), "{refused:?}");
    for (key, may) in [(&of_ada, false), (&of_editor, false), (&of_viewer, true)] {
        let rotated = rotate(&world, bob, acme, key.key.id).await;
        assert_eq!(rotated.is_ok(), may, "{rotated:?}");
        assert!(may || matches!(rotated, Err(ApiKeyError::Forbidden)), "{rotated:?}");
    }
    // A key that has ended is not there.
    world.db.admin().execute("update mt.api_keys set expires_at = now()").await.unwrap();
    for refused in [
        rotate(&world, ada, acme, of_ada.key.id).await.map(drop),
        revoke(&world, ada, acme, of_ada.key.id).await,
        revoke(&world, ada, acme, ApiKeyId::generate()).await,
    ] {
        assert!(matches!(refused, Err(ApiKeyError::NotFound)), "{refused:?}");
    }
}

#[tokio::test]
async fn narrowed_key_gains_nothing() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (issued, key) = caller(&world, ada, acme, KeyHolder::Caller).await;
    let set = |texts: &[&'static str]| PermissionSet::<Acme>::parse(texts.iter().copied()).unwrap();
    for (to, expected, lacks) in [
        (set(&["notes.read", "notes.write"]), set(&["notes.read", "notes.write"]), ""),
        (set(&["notes.read"]), set(&["notes.read"]), ""),
        (set(&["notes.read", "manage"]), set(&["notes.read"]), "manage"),
        (PermissionSet::all(), set(&["notes.read"]), "leave, manage, notes.write"),
        (set(&["notes.read"]), set(&["notes.read"]), ""),
        (PermissionSet::empty(), PermissionSet::empty(), ""),
    ] {
        let mut tx =
            world.tenants.begin(AccessRequest::<Leave>::new(ada, acme)).exclusive().await.unwrap();
        match api_keys::narrow(&mut tx, issued.key.id, to).await {
            Ok(()) => assert!(lacks.is_empty(), "{to:?}"),
            Err(error) => {
                assert!(error.to_string().ends_with(&format!("lacks {lacks}")), "{error}");
            }
        }
        tx.commit().await.unwrap();
        assert_eq!(opens(&world.tenants, key, acme).await, expected, "{to:?}");
    }
    let narrowed = "select count(*) from mt.audit_log where action = 'api_key.narrowed'";
    assert_eq!(world.count(narrowed).await, 3, "what changes nothing leaves no entry");
}

#[tokio::test]
async fn revoked_key_is_listed_and_does_not_authenticate() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (issued, _) = caller(&world, ada, acme, KeyHolder::Caller).await;
    revoke(&world, ada, acme, issued.key.id).await.unwrap();
    assert!(is_refused(&api_keys(&world.database).authenticate(issued.text.reveal()).await));
    let read = world.tenants.read(AccessRequest::<NotesRead>::new(ada, acme));
    let listed = api_keys::list(read, None, 10).await.unwrap();
    let [key] = &listed[..] else { panic!("{listed:?}") };
    assert!(key.id == issued.key.id && key.revoked_at.is_some());
    let read = world.tenants.read(AccessRequest::<NotesRead>::new(ada, acme));
    assert!(api_keys::list(read, Some(key.id), 10).await.unwrap().is_empty(), "the next page");
}

#[tokio::test]
async fn members_revoke_their_own_keys_and_those_of_holders_whom_they_may_remove() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (bob, eve) = (world.user("bob").await, world.user("eve").await);
    world.join(acme, bob, Role::Editor).await;
    world.join(acme, eve, Role::Viewer).await;
    let viewer = account(&world, ada, acme, Role::Viewer).await;
    for (holder, of, by, may) in [
        (KeyHolder::Caller, bob, eve, false),
        (KeyHolder::Caller, bob, bob, true),
        (KeyHolder::Caller, bob, ada, true),
        (KeyHolder::ServiceAccount(viewer), ada, bob, false),
        (KeyHolder::ServiceAccount(viewer), ada, ada, true),
        (KeyHolder::OnBehalfOfCaller(viewer), bob, eve, false),
        (KeyHolder::OnBehalfOfCaller(viewer), bob, bob, true),
    ] {
        let (issued, key) = caller(&world, of, acme, holder).await;
        let revoked = revoke(&world, by, acme, issued.key.id).await;
        assert_eq!(revoked.is_ok(), may, "{holder:?}: {revoked:?}");
        assert!(may || matches!(revoked, Err(ApiKeyError::Forbidden)), "{revoked:?}");
        assert_eq!(opens(&world.tenants, key, acme).await.is_empty(), may);
    }
}

#[tokio::test]
async fn operator_lists_and_revokes_keys() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (issued, key) = caller(&world, ada, acme, KeyHolder::Caller).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let listed = api_keys::list_for_operator::<Acme>(&mut tx, acme).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.id).collect::<Vec<_>>(), [issued.key.id]);
    let blue = TenantId::generate();
    assert!(!api_keys::revoke_for_operator(&mut tx, blue, issued.key.id).await.unwrap());
    assert!(api_keys::revoke_for_operator(&mut tx, acme, issued.key.id).await.unwrap());
    assert!(!api_keys::revoke_for_operator(&mut tx, acme, issued.key.id).await.unwrap(), "again");
    tx.commit().await.unwrap();
    assert!(opens(&world.tenants, key, acme).await.is_empty());
    let revoked = "select count(*) from mt.audit_log where action = 'api_key.revoked'";
    assert_eq!(world.count(revoked).await, 1);
}
