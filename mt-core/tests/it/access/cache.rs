//! The access cache: bounded, invalidated in time, and never the basis of a refusal or a commit.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use mt_core::access::{Access, AccessCache, AccessError, AccessSource as _, Facts};
use mt_core::auth::Principal;
use mt_core::billing::{Standing, StandingPolicy};
use mt_core::clock::ManualClock;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::{BeginError, Database, DatabaseOptions, Statements, Tenants};

use crate::support::{Acme, Manage, NotesRead, NotesWrite, Plan, Role, World, all_notes};

const LONG: Duration = Duration::from_hours(1);

fn of(role: Role, principal: Principal, tenant: TenantId) -> Access<Acme> {
    Access::assertion(tenant, principal, Facts::new(role, Plan::Free, Standing::Good))
}

fn somebody() -> Access<Acme> {
    of(Role::Editor, Principal::in_generation(PrincipalId::generate(), 3), TenantId::generate())
}

fn role(cache: &AccessCache<Acme>, access: &Access<Acme>) -> Option<Role> {
    Some(cache.get(access.principal(), access.tenant())?.role())
}

fn learn(cache: &AccessCache<Acme>, access: &Access<Acme>) {
    cache.learn(cache.ticket(), access);
}

#[test]
fn cache_entry_expires() {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let cache = AccessCache::with_clock(10, Duration::from_secs(30), Arc::clone(&clock));
    let access = somebody();
    assert_eq!(role(&cache, &access), None);
    learn(&cache, &access);
    clock.advance(TimeDelta::milliseconds(29_999));
    let remembered = cache.get(access.principal(), access.tenant()).unwrap();
    assert!(remembered.is_cached() && !access.is_cached());
    clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(role(&cache, &access), None);
    learn(&cache, &access);
    clock.advance(TimeDelta::seconds(-1));
    assert_eq!(role(&cache, &access), None, "from the future");
}

#[test]
fn cache_entry_belongs_to_one_credential_generation() {
    let cache = AccessCache::new(10, LONG);
    let access = somebody();
    learn(&cache, &access);
    let id = access.principal().id();
    for other in [Principal::new(id), Principal::in_generation(id, 4)] {
        assert!(cache.get(other, access.tenant()).is_none());
        cache.unlearn(other, access.tenant());
    }
    assert_eq!(role(&cache, &access), Some(Role::Editor));
    cache.unlearn(access.principal(), access.tenant());
    assert_eq!(role(&cache, &access), None);
}

#[test]
fn cache_memory_is_bounded() {
    let cache = AccessCache::new(1000, LONG);
    for _ in 0..20_000 {
        learn(&cache, &somebody());
    }
    assert!((500..=1100).contains(&cache.len()), "{}", cache.len());
}

#[test]
fn invalidation_removes_only_the_named_entries() {
    let (ada, bob) =
        (Principal::new(PrincipalId::generate()), Principal::new(PrincipalId::generate()));
    let (acme, other) = (TenantId::generate(), TenantId::generate());
    let all = [(ada, acme), (ada, other), (bob, acme), (bob, other)];
    let left_after = |forget: &dyn Fn(&AccessCache<Acme>)| {
        let cache = AccessCache::new(10, LONG);
        for (who, tenant) in all {
            learn(&cache, &of(Role::Viewer, who, tenant));
        }
        forget(&cache);
        all.map(|(who, tenant)| cache.get(who, tenant).is_some())
    };
    assert_eq!(left_after(&|_| ()), [true; 4]);
    assert_eq!(left_after(&|cache| cache.forget(bob.id(), acme)), [true, true, false, true]);
    assert_eq!(left_after(&|cache| cache.forget_tenant(acme)), [false, true, false, true]);
    assert_eq!(left_after(&|cache| cache.forget_principal(ada.id())), [false, false, true, true]);
    assert_eq!(left_after(&AccessCache::clear), [false; 4]);
    assert_eq!(left_after(&AccessCache::suspend), [false; 4]);
    let suspended_for_a_while = |cache: &AccessCache<Acme>| {
        cache.suspend();
        cache.resume();
    };
    assert_eq!(left_after(&suspended_for_a_while), [false; 4], "it begins from nothing");
}

#[test]
fn lookup_started_before_an_invalidation_is_not_cached() {
    let cache = AccessCache::new(10, LONG);
    let access = somebody();
    let ticket = cache.ticket();
    cache.forget(PrincipalId::generate(), TenantId::generate());
    cache.learn(ticket, &access);
    assert_eq!(role(&cache, &access), None);
    // What was merely found to be worth nothing does not keep others from learning.
    let ticket = cache.ticket();
    cache.unlearn(somebody().principal(), TenantId::generate());
    cache.learn(ticket, &access);
    assert_eq!(role(&cache, &access), Some(Role::Editor));
}

/// Readers read the truth and learn it while a writer changes the truth and says so. Whatever the
/// order, once all have ended nothing but the last truth is remembered.
#[test]
fn concurrent_caching_and_invalidation_leave_no_stale_entry() {
    let access = somebody();
    let (principal, tenant) = (access.principal(), access.tenant());
    for _ in 0..300 {
        let cache = AccessCache::new(10, LONG);
        let truth = std::sync::RwLock::new(Role::Editor);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let ticket = cache.ticket();
                        let role = *truth.read().unwrap();
                        cache.learn(ticket, &of(role, principal, tenant));
                    }
                });
            }
            scope.spawn(|| {
                *truth.write().unwrap() = Role::Viewer;
                cache.forget(principal.id(), tenant);
            });
        });
        assert_ne!(role(&cache, &access), Some(Role::Editor));
    }
}

/// A second process: a pool of its own that remembers.
async fn remembering(world: &World) -> (Database, Tenants<Acme>, AccessCache<Acme>) {
    let database = world.db.connect(2).await.unwrap();
    let cache = AccessCache::new(100, LONG);
    let tenants = database.tenants(StandingPolicy::default()).with_access_cache(cache.clone());
    (database, tenants, cache)
}

#[tokio::test]
async fn removed_membership_is_refused_despite_the_cache() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let (_, tenants, _) = remembering(&world).await;
    assert!(!tenants.access(editor, tenant).await.unwrap().is_cached());
    assert!(tenants.access(editor, tenant).await.unwrap().is_cached());

    world.demote(tenant, editor, Role::Viewer).await;
    let stale = tenants.access(editor, tenant).await.unwrap();
    assert_eq!(stale.role(), Role::Editor, "nobody told: it is stale, as this test needs it");
    let refused = tenants.begin(stale.authorize::<NotesWrite>().unwrap()).await;
    assert!(matches!(refused, Err(BeginError::Denied(_))), "{refused:?}");
    let taught = tenants.access(editor, tenant).await.unwrap();
    assert_eq!((taught.role(), taught.is_cached()), (Role::Viewer, true));

    world.remove(tenant, editor).await;
    let stale = tenants.access(editor, tenant).await.unwrap();
    let refused = tenants.begin(stale.authorize::<NotesRead>().unwrap()).await;
    assert!(matches!(refused, Err(BeginError::NotAMember)), "{refused:?}");
    let gone = tenants.access(editor, tenant).await;
    assert!(matches!(gone, Err(AccessError::NotAMember)), "{gone:?}");
}

#[tokio::test]
async fn signed_out_credential_is_refused_despite_the_cache() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let (_, tenants, _) = remembering(&world).await;
    tenants.access(owner, tenant).await.unwrap();
    world.sign_out(owner).await;
    let stale = tenants.access(owner, tenant).await.unwrap();
    let refused = tenants.begin(stale.authorize::<NotesRead>().unwrap()).await;
    assert!(matches!(refused, Err(BeginError::SignedOut)), "{refused:?}");
    let gone = tenants.access(owner, tenant).await;
    assert!(matches!(gone, Err(AccessError::SignedOut)), "{gone:?}");
}

#[tokio::test]
async fn fresh_lookup_bypasses_the_cache() {
    let world = World::new(2).await;
    let (owner, viewer) = (world.user("owner").await, world.user("viewer").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, viewer, Role::Viewer).await;
    let (_, tenants, _) = remembering(&world).await;
    tenants.access(viewer, tenant).await.unwrap();
    world.demote(tenant, viewer, Role::Editor).await;
    assert_eq!(tenants.access(viewer, tenant).await.unwrap().role(), Role::Viewer);
    let fresh = tenants.fresh(viewer, tenant).await.unwrap();
    assert_eq!((fresh.role(), fresh.is_cached()), (Role::Editor, false));
    assert_eq!(tenants.access(viewer, tenant).await.unwrap().role(), Role::Editor, "and taught it");
}

/// Asks again until `cache` is as wanted.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let asked = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect(what);
}

#[tokio::test]
async fn changes_by_another_process_invalidate_the_cache_at_once() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let (database, tenants, cache) = remembering(&world).await;
    let told = tokio::spawn(database.access_changes().tell(cache.clone()));
    until("it listens", || !cache.is_suspended()).await;

    for change in [
        "update mt.memberships set role = 'viewer' where not is_owner",
        "update mt.tenants set plan = 'team'",
        "update mt.tenants set subscription_status = 'past_due'",
        "update mt.tenants set suspension = 'full'",
        "update mt.users set generation = generation",
        "delete from mt.memberships where not is_owner",
    ] {
        tenants.access(editor, tenant).await.unwrap();
        assert!(cache.get(editor, tenant).is_some(), "{change}");
        sqlx::query(change).execute(world.db.admin()).await.unwrap();
        until(change, || cache.get(editor, tenant).is_none()).await;
    }
    // And what has nothing to do with it is not: the notice of a plan that stays is never sent.
    tenants.access(owner, tenant).await.unwrap();
    sqlx::query("update mt.tenants set plan = plan, name = 'another'")
        .execute(world.db.admin())
        .await
        .unwrap();
    let bystander = world.user("bystander").await;
    world.join(tenant, bystander, Role::Viewer).await;
    tenants.access(bystander, tenant).await.unwrap();
    world.remove(tenant, bystander).await;
    until("the later notice", || cache.get(bystander, tenant).is_none()).await;
    assert!(cache.get(owner, tenant).is_some());
    told.abort();
}

#[tokio::test]
async fn nothing_is_cached_without_a_listener() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let (database, tenants, cache) = remembering(&world).await;
    let told = tokio::spawn(database.access_changes().tell(cache.clone()));
    until("it listens", || !cache.is_suspended()).await;
    tenants.access(owner, tenant).await.unwrap();
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and query like 'LISTEN%'";
    sqlx::query(cut).execute(world.db.admin()).await.unwrap();
    until("the cut is noticed", || cache.get(owner, tenant).is_none()).await;
    assert!(!tenants.access(owner, tenant).await.unwrap().is_cached());
    until("it listens again", || !cache.is_suspended()).await;
    tenants.access(owner, tenant).await.unwrap();
    assert!(tenants.access(owner, tenant).await.unwrap().is_cached());
    told.abort();
}

#[tokio::test]
async fn transactions_of_a_caching_pool_behave_like_others() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let (_, tenants, _) = remembering(&world).await;
    for _ in 0..2 {
        let access = tenants.access(owner, tenant).await.unwrap();
        let mut tx = tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
        assert!(all_notes(&mut tx).await.is_empty());
        assert!(!tx.access().is_cached(), "these facts are of the transaction");
        tx.commit().await.unwrap();
    }
    world.set(tenant, "subscription_status = 'unpaid'").await;
    let stale = tenants.access(owner, tenant).await.unwrap();
    let refused = tenants.begin(stale.authorize::<Manage>().unwrap()).await;
    assert!(matches!(refused, Err(BeginError::Denied(_))), "{refused:?}");
}

/// Listening on a connection that another client uses a moment later would send that client the
/// notices, in the middle of its answers.
#[tokio::test]
async fn cache_is_off_behind_a_pooler_in_transaction_mode() {
    let world = World::new(1).await;
    let Some(login) = world.db.pooled_login() else {
        eprintln!("SKIPPED: no PgBouncer in MT_TEST_PGBOUNCER_URL");
        return;
    };
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let options = DatabaseOptions::new(login).max_connections(4);
    let database = Database::connect(options).await.unwrap();
    assert_eq!(database.statements(), Statements::Unnamed);
    assert_eq!(world.database.statements(), Statements::Named);
    let cache = AccessCache::new(10, LONG);
    let tenants: Tenants<Acme> =
        database.tenants(StandingPolicy::default()).with_access_cache(cache.clone());
    let told = database.access_changes().tell(cache.clone());
    tokio::time::timeout(Duration::from_mins(1), told).await.expect("it gives up");
    assert!(!cache.is_suspended());
    let listening: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where datname = current_database() and query ilike 'listen%'",
    )
    .fetch_one(world.db.admin())
    .await
    .unwrap();
    assert_eq!(listening, 0);
    // What is remembered goes by its age and by what transactions find, which others do not disturb.
    for plan in ["team", "free"].repeat(10) {
        let access = tenants.access(owner, tenant).await.unwrap();
        let sql = format!("update mt.tenants set plan = '{plan}'");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(world.db.admin()).await.unwrap();
        let mut tx = tenants.begin(access.authorize::<NotesRead>().unwrap()).await.unwrap();
        assert!(all_notes(&mut tx).await.is_empty());
        tx.commit().await.unwrap();
    }
}
