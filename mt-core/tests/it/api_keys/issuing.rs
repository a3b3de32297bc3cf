//! Who may create keys and service accounts, and what is stored of them.

use mt_core::access::{AccessRequest, PermissionSet};
use mt_core::auth::{Authenticator as _, Principal};
use mt_core::pg::api_keys::{ApiKeyError, KeyHolder, NewApiKey};
use mt_core::pg::service_accounts::{self, ServiceAccountError};
use mt_core::token::TokenHasher;
use sqlx::Executor as _;

use super::{AN_HOUR, account, api_keys, caller, is_refused, issue, owner};
use crate::support::{Leave, NotesRead, NotesWrite, Perm, Role, World, write_note};

#[tokio::test]
async fn caller_gives_a_service_account_no_more_than_they_hold() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    world.join(acme, bob, Role::Viewer).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    let holder = KeyHolder::ServiceAccount(editor);
    let refused = issue(&world, bob, acme, &NewApiKey::new("a key", holder)).await;
    assert!(matches!(refused, Err(ApiKeyError::Forbidden)), "{refused:?}");
    // What Bob holds too is his to give.
    let limited =
        NewApiKey::new("a key", holder).limited_to([Perm::NotesRead].into_iter().collect());
    issue(&world, bob, acme, &limited).await.unwrap();
    // A key for his own use, and one that acts on his behalf, hold no more than he does at any time.
    for holder in [KeyHolder::Caller, KeyHolder::OnBehalfOfCaller(editor)] {
        issue(&world, bob, acme, &NewApiKey::new("a key", holder)).await.unwrap();
    }
}

#[tokio::test]
async fn key_issues_no_keys() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    for holder in
        [KeyHolder::Caller, KeyHolder::ServiceAccount(editor), KeyHolder::OnBehalfOfCaller(editor)]
    {
        let (_, key) = caller(&world, ada, acme, holder).await;
        for new in [KeyHolder::Caller, KeyHolder::ServiceAccount(editor)] {
            let refused = issue(&world, key, acme, &NewApiKey::new("a key", new)).await;
            assert!(matches!(refused, Err(ApiKeyError::ByKey)), "{refused:?}");
        }
    }
    let acting = ada.acted_by(editor);
    let refused = issue(&world, acting, acme, &NewApiKey::new("a key", KeyHolder::Caller)).await;
    assert!(matches!(refused, Err(ApiKeyError::ByKey)), "{refused:?}");
}

#[tokio::test]
async fn names_and_holders_are_checked() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let long = "x".repeat(101);
    for name in ["", "a\nb", long.as_str()] {
        let refused = issue(&world, ada, acme, &NewApiKey::new(name, KeyHolder::Caller)).await;
        assert!(matches!(refused, Err(ApiKeyError::Name)), "{refused:?}");
    }
    let blue = world.tenant(ada).await;
    let of_blue = account(&world, ada, blue, Role::Editor).await;
    for holder in [KeyHolder::ServiceAccount(of_blue), KeyHolder::OnBehalfOfCaller(of_blue)] {
        let refused = issue(&world, ada, acme, &NewApiKey::new("a key", holder)).await;
        assert!(matches!(refused, Err(ApiKeyError::NotFound)), "of another tenant: {refused:?}");
    }
}

#[tokio::test]
async fn service_accounts_follow_the_rules_for_members() {
    async fn made(
        world: &World,
        by: Principal,
        acme: mt_core::id::TenantId,
        role: Role,
    ) -> Result<(), ServiceAccountError> {
        let mut tx =
            world.tenants.begin(AccessRequest::<Leave>::new(by, acme)).exclusive().await.unwrap();
        service_accounts::create(&mut tx, &format!("{role:?} of {}", by.id()), role).await?;
        tx.commit().await.unwrap();
        Ok(())
    }
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (bob, eve) = (world.user("bob").await, world.user("eve").await);
    world.join(acme, bob, Role::Editor).await;
    world.join(acme, eve, Role::Viewer).await;
    for (by, role, may) in [
        (ada, Role::Editor, true),
        (ada, Role::Viewer, true),
        (ada, Role::Owner, false),
        (bob, Role::Viewer, true),
        (bob, Role::Editor, false),
        (eve, Role::Viewer, false),
    ] {
        let made = made(&world, by, acme, role).await;
        assert_eq!(made.is_ok(), may, "{role:?}: {made:?}");
        assert!(may || matches!(made, Err(ServiceAccountError::Forbidden)), "{made:?}");
    }
    let again = made(&world, ada, acme, Role::Editor).await;
    assert!(matches!(again, Err(ServiceAccountError::NameTaken)), "{again:?}");

    // Assigning and deleting, too.
    let editor = account(&world, ada, acme, Role::Editor).await;
    for (by, may) in [(bob, false), (ada, true)] {
        let mut tx =
            world.tenants.begin(AccessRequest::<Leave>::new(by, acme)).exclusive().await.unwrap();
        let owned = service_accounts::assign_role(&mut tx, editor, Role::Owner).await;
        assert!(matches!(owned, Err(ServiceAccountError::Forbidden)), "{owned:?}");
        let assigned = service_accounts::assign_role(&mut tx, editor, Role::Viewer).await;
        assert_eq!(assigned.is_ok(), may, "{assigned:?}");
        let deleted = service_accounts::delete(&mut tx, editor).await;
        assert_eq!(deleted.is_ok(), may, "{deleted:?}");
        tx.commit().await.unwrap();
    }
    let mut tx =
        world.tenants.begin(AccessRequest::<Leave>::new(ada, acme)).exclusive().await.unwrap();
    let gone = service_accounts::delete(&mut tx, editor).await;
    assert!(matches!(gone, Err(ServiceAccountError::NotFound)), "{gone:?}");
    drop(tx);
    let read = world.tenants.read(AccessRequest::<NotesRead>::new(eve, acme));
    let listed = service_accounts::list(read, None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|account| account.role).collect::<Vec<_>>(),
        [Role::Viewer, Role::Viewer, Role::Editor]
    );
}

#[tokio::test]
async fn keys_are_capped_and_keys_of_one_rotation_count_once() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    world.set(acme, "plan = 'free'").await;
    let new = || NewApiKey::new("a key", KeyHolder::Caller);
    let first = issue(&world, ada, acme, &new()).await.unwrap();
    issue(&world, ada, acme, &new()).await.unwrap();
    let keys = api_keys(&world.database);
    let mut tx =
        world.tenants.begin(AccessRequest::<Leave>::new(ada, acme)).exclusive().await.unwrap();
    keys.rotate(&mut tx, first.key.id, AN_HOUR).await.unwrap();
    tx.commit().await.unwrap();
    issue(&world, ada, acme, &new()).await.unwrap();
    let refused = issue(&world, ada, acme, &new()).await;
    assert!(matches!(refused, Err(ApiKeyError::CapReached(_))), "{refused:?}");
    // One that has ended makes room.
    world
        .db
        .admin()
        .execute("update mt.api_keys set revoked_at = now() where expires_at is null")
        .await
        .unwrap();
    issue(&world, ada, acme, &new()).await.unwrap();
}

#[tokio::test]
async fn database_holds_no_key_and_verifies_no_guess() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (issued, _) = caller(&world, ada, acme, KeyHolder::Caller).await;
    let text = issued.text.reveal();
    assert!(text.starts_with("acme_") && text.len() == 54, "{text}");
    let row: String = sqlx::query_scalar("select row_to_json(k)::text from mt.api_keys k")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    let hint = &issued.key.hint;
    assert!(row.contains(hint) && text.starts_with(hint.as_str()) && hint.len() == 9, "{row}");
    assert!(!row.contains(&text[10..20]), "{row}");
    // The same database, without the secret of the application.
    let other =
        world.database.api_keys("acme", TokenHasher::new(b"another secret, of 32 bytes too!"));
    assert!(is_refused(&other.authenticate(text).await));
    // After a rotation of that secret the key is still good.
    let hasher = TokenHasher::new(b"another secret, of 32 bytes too!")
        .with_previous(b"a secret of these tests, 32 bytes");
    let rotated = world.database.api_keys("acme", hasher);
    assert!(rotated.authenticate(text).await.is_ok());
    // No transaction of a tenant reads the hash.
    let mut tx = world.tenants.begin(AccessRequest::<NotesRead>::new(ada, acme)).await.unwrap();
    let read = sqlx::query("select digest from mt.api_keys").execute(tx.query::<NotesRead>()).await;
    assert!(read.unwrap_err().to_string().contains("permission denied"));
    // Other text is refused without a look into the database.
    let elsewhere = api_keys(&world.database);
    world.database.close().await;
    for other in
        ["", "acme_", &text[..53], &format!("{}x", &text[..53]), &text.replace("acme", "blue")]
    {
        assert!(is_refused(&elsewhere.authenticate(other).await), "{other}");
    }
}

#[tokio::test]
async fn audit_log_names_every_link_of_the_chain() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let noted = mt_core::pg::audit_log::Action::new("note.written", "note");
    let mut expected = Vec::new();
    for holder in
        [KeyHolder::Caller, KeyHolder::ServiceAccount(agent), KeyHolder::OnBehalfOfCaller(agent)]
    {
        let (issued, key) = caller(&world, ada, acme, holder).await;
        let mut tx =
            world.tenants.begin(AccessRequest::<NotesWrite>::new(key, acme)).await.unwrap();
        write_note(&mut tx, "x").await;
        tx.record(noted.on(acme.as_uuid()));
        tx.commit().await.unwrap();
        let by_key = serde_json::json!({ "kind": "api_key", "id": issued.key.id });
        let by_agent = serde_json::json!({ "kind": "service_account", "id": agent });
        expected.push(match holder {
            KeyHolder::Caller => {
                ("user".to_owned(), ada.id().as_uuid(), Some(serde_json::json!([by_key])))
            }
            KeyHolder::ServiceAccount(_) => {
                ("service_account".to_owned(), agent.as_uuid(), Some(serde_json::json!([by_key])))
            }
            KeyHolder::OnBehalfOfCaller(_) => {
                ("user".to_owned(), ada.id().as_uuid(), Some(serde_json::json!([by_agent, by_key])))
            }
        });
    }
    // The control: Ada herself.
    let mut tx = world.tenants.begin(AccessRequest::<NotesWrite>::new(ada, acme)).await.unwrap();
    write_note(&mut tx, "x").await;
    tx.record(noted.on(acme.as_uuid()));
    tx.commit().await.unwrap();
    expected.push(("user".to_owned(), ada.id().as_uuid(), None));
    let read = world.tenants.read(AccessRequest::<NotesRead>::new(ada, acme));
    let filter =
        mt_core::pg::audit_log::Filter { action: Some("note.written"), ..Default::default() };
    let entries = mt_core::pg::audit_log::list(read, &filter, None, 10).await.unwrap();
    let actors: Vec<_> = entries
        .into_iter()
        .rev()
        .map(|entry| (entry.actor_kind, entry.actor_id.unwrap(), entry.via))
        .collect();
    assert_eq!(actors, expected);
}

#[tokio::test]
async fn key_of_a_permission_that_is_gone_holds_nothing_for_it() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let (_, key) = caller(&world, ada, acme, KeyHolder::Caller).await;
    world
        .db
        .admin()
        .execute("update mt.api_keys set permissions = '{notes.print,notes.read}'")
        .await
        .unwrap();
    let held = super::opens(&world.tenants, key, acme).await;
    assert_eq!(held, PermissionSet::parse(["notes.read"]).unwrap());
}

/// An account acts on behalf of the owner. The owner may invite, assign and remove everyone; an editor invites viewers.
#[tokio::test]
async fn rules_for_members_ask_both_roles_of_an_agent() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    world.join(acme, bob, Role::Viewer).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    let viewer = account(&world, ada, acme, Role::Viewer).await;
    let (_, agent) = caller(&world, ada, acme, KeyHolder::OnBehalfOfCaller(editor)).await;
    for (by, may) in [(agent, false), (ada.acted_by(editor), false), (ada, true)] {
        let request = AccessRequest::<Leave>::new(by, acme);
        let mut tx = world.tenants.begin(request).exclusive().await.unwrap();
        let created = service_accounts::create(&mut tx, &format!("of {may}"), Role::Editor).await;
        assert_eq!(created.is_ok(), may, "{created:?}");
        let viewer_too = service_accounts::create(&mut tx, "a viewer", Role::Viewer).await;
        assert!(viewer_too.is_ok(), "{viewer_too:?}");
        let assigned = service_accounts::assign_role(&mut tx, viewer, Role::Editor).await;
        assert_eq!(assigned.is_ok(), may, "{assigned:?}");
        let deleted = service_accounts::delete(&mut tx, viewer).await;
        assert_eq!(deleted.is_ok(), may, "{deleted:?}");
        let changed = tx.assign_role(bob.id(), Role::Editor).await;
        assert_eq!(changed.is_ok(), may, "{changed:?}");
        let removed = tx.remove_member(bob.id()).await;
        assert_eq!(removed.is_ok(), may, "{removed:?}");
        tx.rollback().await.unwrap();
    }
}
