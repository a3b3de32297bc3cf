//! The decision on a key: what it may do is what every link of its chain holds, and it ends with each of them.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::{AccessError, AccessRequest, AccessSource as _, PermissionSet};
use mt_core::auth::Authenticator as _;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::api_keys::{self, KeyHolder, NewApiKey};
use mt_core::pg::{
    BeginError, Database, DatabaseOptions, Isolation, Statements, query_scalar, service_accounts,
};
use mt_core::testing::Relay;
use mt_core::text_enum::TextEnum as _;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::Executor as _;

use super::{account, answer, api_keys, caller, issue, opens, owner};
use crate::support::{
    ALL_NOTES, Acme, Leave, Manage, NotesRead, NotesWrite, Perm, Role, World, all_notes, write_note,
};

#[tokio::test]
async fn key_has_what_its_holder_has() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    for (holder, role) in [
        (KeyHolder::Caller, Role::Owner),
        (KeyHolder::ServiceAccount(editor), Role::Editor),
        (KeyHolder::OnBehalfOfCaller(editor), Role::Editor),
    ] {
        let (_, key) = caller(&world, ada, acme, holder).await;
        assert_eq!(
            opens(&world.tenants, key, acme).await,
            PermissionSet::of_role(role),
            "{holder:?}"
        );
        let mut tx =
            world.tenants.begin(AccessRequest::<NotesWrite>::new(key, acme)).await.unwrap();
        write_note(&mut tx, "by key").await;
        assert_eq!(all_notes(&mut tx).await, ["by key"]);
        tx.rollback().await.unwrap();
    }
}

/// What one member and one service account have, and what a key of both is limited to.
#[derive(Clone, Debug)]
struct Chain {
    member: Role,
    account: Role,
    limit: Option<Vec<Perm>>,
    holder: usize,
}

fn chain() -> impl Strategy<Value = Chain> {
    let roles = || proptest::sample::select(Role::ALL);
    let limit = proptest::option::of(proptest::sample::subsequence(Perm::ALL, 0..=Perm::ALL.len()));
    (roles(), roles(), limit, 0_usize..3).prop_map(|(member, account, limit, holder)| Chain {
        member,
        account,
        limit,
        holder,
    })
}

#[tokio::test]
async fn no_chain_holds_what_one_link_lacks() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    world.join(acme, bob, Role::Owner).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..60 {
        let Chain { member, account, limit, holder } =
            chain().new_tree(&mut runner).unwrap().current();
        let holder = [
            KeyHolder::Caller,
            KeyHolder::ServiceAccount(agent),
            KeyHolder::OnBehalfOfCaller(agent),
        ][holder];
        world.demote(acme, bob, Role::Owner).await;
        let new = NewApiKey::new("a key", holder);
        let limited = limit.as_ref().map(|limit| limit.iter().copied().collect());
        let new = match limited {
            Some(limit) => new.limited_to(limit),
            None => new,
        };
        let issued = issue(&world, bob, acme, &new).await.unwrap();
        let key = api_keys(&world.database).authenticate(issued.text.reveal()).await.unwrap();
        world.demote(acme, bob, member).await;
        sqlx::query("update mt.service_accounts set role = $1")
            .bind(account.as_str())
            .execute(world.db.admin())
            .await
            .unwrap();

        let links = match holder {
            KeyHolder::Caller => vec![PermissionSet::<Acme>::of_role(member)],
            KeyHolder::ServiceAccount(_) => vec![PermissionSet::of_role(account)],
            KeyHolder::OnBehalfOfCaller(_) => {
                vec![PermissionSet::of_role(member), PermissionSet::of_role(account)]
            }
        };
        let links = links.into_iter().chain(limited);
        let expected = links.fold(PermissionSet::all(), PermissionSet::intersection);
        assert_eq!(opens(&world.tenants, key, acme).await, expected, "{holder:?} {limit:?}");
    }
}

#[tokio::test]
async fn custom_role_of_a_member_decides_on_their_keys() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    world.join(acme, bob, Role::Viewer).await;
    sqlx::query(
        "with role as (insert into mt.roles (tenant_id, id, name, based_on, permissions) \
             values ($1, gen_random_uuid(), 'manager', 'viewer', '{leave,manage}') returning id) \
         update mt.memberships set role_id = role.id from role where tenant_id = $1 and principal_id = $2",
    )
    .bind(acme.as_uuid())
    .bind(bob.id().as_uuid())
    .execute(world.db.admin())
    .await
    .unwrap();
    let set = |texts: &[&'static str]| PermissionSet::<Acme>::parse(texts.iter().copied()).unwrap();
    let editor = account(&world, ada, acme, Role::Editor).await;
    for (holder, expected) in [
        (KeyHolder::Caller, set(&["leave", "manage"])),
        (KeyHolder::OnBehalfOfCaller(editor), set(&["leave"])),
    ] {
        let (_, key) = caller(&world, bob, acme, holder).await;
        assert_eq!(opens(&world.tenants, key, acme).await, expected, "{holder:?}");
    }
    let acting = bob.acted_by(editor);
    assert_eq!(opens(&world.tenants, acting, acme).await, set(&["leave"]));
}

#[tokio::test]
async fn plan_standing_and_suspension_decide_on_keys_too() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    for holder in
        [KeyHolder::Caller, KeyHolder::ServiceAccount(editor), KeyHolder::OnBehalfOfCaller(editor)]
    {
        let (_, key) = caller(&world, ada, acme, holder).await;
        for (assignment, read, write) in [
            ("suspension = 'full'", "suspended", "suspended"),
            ("suspension = 'read_only'", "opens", "suspended"),
            ("suspension = 'none', subscription_status = 'unpaid'", "opens", "unpaid"),
            ("subscription_status = 'none'", "opens", "opens"),
        ] {
            world.set(acme, assignment).await;
            let answers = (
                answer::<NotesRead>(&world.tenants, key, acme).await,
                answer::<NotesWrite>(&world.tenants, key, acme).await,
            );
            assert_eq!(answers, (read, write), "{holder:?}: {assignment}");
        }
    }
}

#[tokio::test]
async fn key_is_good_in_its_tenant_only() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let blue = world.tenant(ada).await;
    let editor = account(&world, ada, acme, Role::Editor).await;
    for holder in
        [KeyHolder::Caller, KeyHolder::ServiceAccount(editor), KeyHolder::OnBehalfOfCaller(editor)]
    {
        let (_, key) = caller(&world, ada, acme, holder).await;
        assert_eq!(answer::<NotesRead>(&world.tenants, key, acme).await, "opens");
        for other in [blue, TenantId::generate()] {
            assert_eq!(answer::<NotesRead>(&world.tenants, key, other).await, "not a member");
            let loaded = world.tenants.load_access(key, other).await;
            assert!(matches!(loaded, Err(AccessError::NotAMember)));
        }
        // The control: without the limit to its tenant, the facts have no key there either.
        let escaped = match holder {
            KeyHolder::ServiceAccount(account) => {
                mt_core::auth::Principal::service_account(account)
            }
            _ => mt_core::auth::Principal::new(ada.id()),
        };
        let escaped = escaped.by_key(key.key().unwrap(), blue);
        assert_eq!(answer::<NotesRead>(&world.tenants, escaped, blue).await, "ended");
    }
}

/// Each way in which a link of the chain ends or loses a permission, and what a key of an editor that acts on behalf of an
/// owner is told then.
#[tokio::test]
async fn change_to_any_link_bites_at_the_next_transaction_in_every_process() {
    type Story = (&'static str, &'static str, &'static str);
    let stories: [Story; 7] = [
        ("update mt.api_keys set revoked_at = now()", "ended", "ended"),
        ("update mt.api_keys set expires_at = now()", "ended", "ended"),
        ("update mt.api_keys set permissions = '{notes.read}'", "opens", "forbidden"),
        (
            "update mt.memberships set role = 'viewer', is_owner = false where principal_id = $1",
            "opens",
            "forbidden",
        ),
        ("delete from mt.memberships where principal_id = $1", "ended", "ended"),
        ("update mt.service_accounts set role = 'viewer'", "opens", "forbidden"),
        ("delete from mt.service_accounts", "ended", "ended"),
    ];
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let bob = world.user("bob").await;
    let elsewhere = Database::connect(world.db.options(1)).await.unwrap();
    let other_process = elsewhere.tenants::<Acme>(StandingPolicy::default());
    for (change, read, write) in stories {
        world
            .db
            .admin()
            .execute("delete from mt.api_keys; delete from mt.service_accounts")
            .await
            .unwrap();
        sqlx::query("delete from mt.memberships where principal_id = $1")
            .bind(bob.id().as_uuid())
            .execute(world.db.admin())
            .await
            .unwrap();
        world.join(acme, bob, Role::Owner).await;
        let agent = account(&world, ada, acme, Role::Editor).await;
        let (issued, key) = caller(&world, bob, acme, KeyHolder::OnBehalfOfCaller(agent)).await;
        // Both processes remember the key and what it may do.
        let here = api_keys(&world.database);
        let there = api_keys(&elsewhere);
        for (keys, tenants) in [(&here, &world.tenants), (&there, &other_process)] {
            assert_eq!(keys.authenticate(issued.text.reveal()).await.unwrap(), key);
            assert_eq!(answer::<NotesWrite>(tenants, key, acme).await, "opens", "{change}");
            assert!(tenants.recent(key, acme).is_some());
        }
        let statement = sqlx::query(change);
        let bound =
            if change.contains("$1") { statement.bind(bob.id().as_uuid()) } else { statement };
        bound.execute(world.db.admin()).await.unwrap();
        for (keys, tenants) in [(&here, &world.tenants), (&there, &other_process)] {
            // Remembered for a minute, and of no use.
            assert_eq!(keys.authenticate(issued.text.reveal()).await.unwrap(), key);
            let answers = (
                answer::<NotesRead>(tenants, key, acme).await,
                answer::<NotesWrite>(tenants, key, acme).await,
            );
            assert_eq!(answers, (read, write), "{change}");
            let principals = elsewhere.principals().begin(key).await;
            assert_eq!(
                matches!(principals, Err(BeginError::SignedOut)),
                read == "ended",
                "{change}"
            );
        }
        // A process that does not remember the key refuses it at once.
        let answer = api_keys(&elsewhere).authenticate(issued.text.reveal()).await;
        assert_eq!(super::is_refused(&answer), read == "ended", "{change}: {answer:?}");
    }
}

#[tokio::test]
async fn decision_on_a_key_takes_no_round_trip_of_its_own() {
    let world = World::new(1).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let (_, key) = caller(&world, ada, acme, KeyHolder::OnBehalfOfCaller(agent)).await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()))
        .max_connections(1)
        .statements(Statements::Named);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants::<Acme>(StandingPolicy::default());
    // The control: a session takes as many.
    for caller in [ada, key] {
        for warm in [false, true] {
            let request = AccessRequest::<NotesRead>::new(caller, acme);
            query_scalar::<String>(ALL_NOTES).fetch_all(tenants.read(request)).await.unwrap();
            let read = relay.take_round_trips().len();
            let request = AccessRequest::<NotesWrite>::new(caller, acme);
            let mut tx = tenants.begin(request).await.unwrap();
            write_note(&mut tx, "one").await;
            tx.commit().await.unwrap();
            let written = relay.take_round_trips().len();
            assert!(!warm || (read, written) == (1, 3), "{caller:?}: {read} {written}");
        }
    }
}

#[tokio::test]
async fn keys_work_behind_a_pooler_and_in_every_isolation_level() {
    let world = World::new(1).await;
    let (ada, acme) = owner(&world).await;
    let agent = account(&world, ada, acme, Role::Editor).await;
    let (_, key) = caller(&world, ada, acme, KeyHolder::OnBehalfOfCaller(agent)).await;
    for statements in [Statements::Named, Statements::Unnamed] {
        for isolation in
            [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable]
        {
            let options = world.db.options(1).statements(statements).isolation(isolation);
            let database = Database::connect(options).await.unwrap();
            let tenants = database.tenants::<Acme>(StandingPolicy::default());
            assert_eq!(answer::<NotesWrite>(&tenants, key, acme).await, "opens");
            assert_eq!(answer::<Manage>(&tenants, key, acme).await, "forbidden");
            database.close().await;
        }
    }
}

/// A write that a key has begun commits before the change that ends the key does, and none after it.
#[tokio::test]
async fn changes_to_the_chain_wait_for_the_writes_of_a_key() {
    let world = Arc::new(World::new(6).await);
    let (ada, acme) = owner(&world).await;
    for change in 0..5 {
        let agent = account(&world, ada, acme, Role::Editor).await;
        let (issued, key) = caller(&world, ada, acme, KeyHolder::OnBehalfOfCaller(agent)).await;
        let mut tx =
            world.tenants.begin(AccessRequest::<NotesWrite>::new(key, acme)).await.unwrap();
        write_note(&mut tx, "in time").await;
        let changing = tokio::spawn({
            let world = Arc::clone(&world);
            async move {
                let request = AccessRequest::<Leave>::new(ada, acme);
                let mut tx = world.tenants.begin(request).exclusive().await.unwrap();
                match change {
                    0 => api_keys::revoke(&mut tx, issued.key.id).await.unwrap(),
                    1 => api_keys::narrow(&mut tx, issued.key.id, PermissionSet::empty())
                        .await
                        .unwrap(),
                    2 => drop(
                        api_keys(&world.database)
                            .rotate(&mut tx, issued.key.id, Duration::ZERO)
                            .await
                            .unwrap(),
                    ),
                    3 => drop(
                        service_accounts::assign_role(&mut tx, agent, Role::Viewer).await.unwrap(),
                    ),
                    _ => service_accounts::delete(&mut tx, agent).await.unwrap(),
                }
                tx.commit().await.unwrap();
            }
        });
        let waiting = "select count(*) from pg_stat_activity \
             where datname = current_database() and wait_event_type = 'Lock'";
        while world.count(waiting).await == 0 {
            assert!(!changing.is_finished(), "change {change} did not wait");
        }
        tx.commit().await.unwrap();
        changing.await.unwrap();
        assert_ne!(answer::<NotesWrite>(&world.tenants, key, acme).await, "opens");
    }
}

/// The time of the last use is written while a transaction of the key is open.
#[tokio::test]
async fn use_of_a_key_is_noted_without_waiting_for_its_writes() {
    let world = World::new(4).await;
    let (ada, acme) = owner(&world).await;
    let (issued, key) = caller(&world, ada, acme, KeyHolder::Caller).await;
    let mut tx = world.tenants.begin(AccessRequest::<NotesWrite>::new(key, acme)).await.unwrap();
    write_note(&mut tx, "open").await;
    world.db.admin().execute("update mt.api_keys set last_used_at = null").await.unwrap();
    let keys = api_keys(&world.database);
    keys.authenticate(issued.text.reveal()).await.unwrap();
    let noted = "select count(*) from mt.api_keys where last_used_at is not null";
    while world.count(noted).await == 0 {}
    // Once in ten minutes: the next requests write nothing.
    world.db.admin().execute("update mt.api_keys set last_used_at = null").await.unwrap();
    for _ in 0..20 {
        keys.authenticate(issued.text.reveal()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(world.count(noted).await, 0);
}
