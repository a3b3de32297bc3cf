//! Changes of roles and members, and the last owner.

use std::sync::Arc;

use mt_core::access::Denied;
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, MemberError, Tenant};
use sqlx::Executor as _;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::support::{Leave, Manage, NotesRead, NotesWrite, Role, World, write_note};

const ROUNDS: usize = 50;

/// A tenant of which all `owners` are owners.
async fn owned_by(world: &World, owners: &[Principal]) -> TenantId {
    let tenant = world.tenant(owners[0]).await;
    for owner in &owners[1..] {
        world.join(tenant, *owner, Role::Owner).await;
    }
    tenant
}

async fn owners_of(world: &World, tenant: TenantId) -> i64 {
    sqlx::query_scalar("select count(*) from mt.memberships where tenant_id = $1 and is_owner")
        .bind(tenant.as_uuid())
        .fetch_one(world.db.admin())
        .await
        .unwrap()
}

async fn crowd_of(world: &World, size: usize) -> Vec<Principal> {
    let mut crowd = Vec::new();
    for number in 0..size {
        crowd.push(world.user(&format!("owner-{number}")).await);
    }
    crowd
}

#[tokio::test]
async fn not_found_comes_before_forbidden_and_forbidden_before_last_owner() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    let stranger = world.user("stranger").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;

    let grant = world.grant::<Leave>(editor, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    let refused = tx.remove_member(stranger.id()).await;
    assert!(matches!(refused, Err(MemberError::NotFound)), "{refused:?}");
    let refused = tx.remove_member(owner.id()).await;
    assert!(matches!(refused, Err(MemberError::Forbidden)), "{refused:?}");
    let refused = tx.assign_role(owner.id(), Role::Viewer).await;
    assert!(matches!(refused, Err(MemberError::Forbidden)), "{refused:?}");
    drop(tx);

    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    let refused = tx.assign_role(owner.id(), Role::Editor).await;
    assert!(matches!(refused, Err(MemberError::LastOwner)), "{refused:?}");
    let refused = tx.remove_member(owner.id()).await;
    assert!(matches!(refused, Err(MemberError::LastOwner)), "{refused:?}");
    // With a second owner the first may go.
    tx.assign_role(editor.id(), Role::Owner).await.unwrap();
    tx.remove_member(owner.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(world.grant::<NotesWrite>(editor, tenant).await).await;
    assert!(refused.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_leaving_concurrently_keep_one_owner() {
    let world = Arc::new(World::new(12).await);
    for size in [2, 8] {
        let owners = crowd_of(&world, size).await;
        for round in 0..ROUNDS {
            let tenant = owned_by(&world, &owners).await;
            let barrier = Arc::new(Barrier::new(size));
            let mut leaving = JoinSet::new();
            for owner in owners.clone() {
                let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
                leaving.spawn(async move {
                    let grant = world.grant::<Leave>(owner, tenant).await;
                    barrier.wait().await;
                    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
                    match tx.remove_member(owner.id()).await {
                        Ok(()) => {
                            tx.commit().await.unwrap();
                            true
                        }
                        Err(MemberError::LastOwner) => false,
                        Err(error) => panic!("{error}"),
                    }
                });
            }
            let left = leaving.join_all().await.into_iter().filter(|left| *left).count();
            assert_eq!(left, size - 1, "of {size}, round {round}");
            assert_eq!(owners_of(&world, tenant).await, 1, "of {size}, round {round}");
        }
    }
}

/// Each owner demotes the next one. The owner who is demoted first can demote no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_demoting_each_other_concurrently_keep_one_owner() {
    let world = Arc::new(World::new(12).await);
    for size in [2, 8] {
        let owners = crowd_of(&world, size).await;
        for round in 0..ROUNDS {
            let tenant = owned_by(&world, &owners).await;
            let barrier = Arc::new(Barrier::new(size));
            let mut demoting = JoinSet::new();
            for (number, owner) in owners.iter().copied().enumerate() {
                let next = owners[(number + 1) % size];
                let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
                demoting.spawn(async move {
                    let grant = world.grant::<Manage>(owner, tenant).await;
                    barrier.wait().await;
                    let mut tx = match world.tenants.begin(grant).exclusive().await {
                        Ok(tx) => tx,
                        Err(BeginError::Denied(Denied::Forbidden)) => return 0,
                        Err(error) => panic!("{error}"),
                    };
                    tx.assign_role(next.id(), Role::Viewer).await.unwrap();
                    tx.commit().await.unwrap();
                    1
                });
            }
            let demoted: i64 = demoting.join_all().await.into_iter().sum();
            let left = owners_of(&world, tenant).await;
            assert!(left >= 1, "of {size}, round {round}");
            let size = i64::try_from(size).unwrap();
            assert_eq!(left, size - demoted, "of {size}, round {round}");
        }
    }
}

/// The negative control: two who count and then leave, without the tenant's lock and without the
/// trigger, leave a tenant without an owner.
#[tokio::test]
async fn counting_owners_without_the_lock_can_lose_the_last_owner() {
    let world = World::new(1).await;
    let owners = crowd_of(&world, 2).await;
    let tenant = owned_by(&world, &owners).await;
    let admin = world.db.admin();
    let without = "alter table mt.memberships disable trigger memberships_keep_an_owner";
    admin.execute(without).await.unwrap();
    let (mut a, mut b) = (admin.acquire().await.unwrap(), admin.acquire().await.unwrap());
    for conn in [&mut a, &mut b] {
        conn.execute("begin").await.unwrap();
        let owners: i64 = sqlx::query_scalar("select count(*) from mt.memberships where is_owner")
            .fetch_one(&mut **conn)
            .await
            .unwrap();
        assert_eq!(owners, 2);
    }
    for (conn, owner) in [(&mut a, owners[0]), (&mut b, owners[1])] {
        sqlx::query("delete from mt.memberships where principal_id = $1")
            .bind(owner.id().as_uuid())
            .execute(&mut **conn)
            .await
            .unwrap();
    }
    for conn in [&mut a, &mut b] {
        conn.execute("commit").await.unwrap();
    }
    assert_eq!(owners_of(&world, tenant).await, 0);
}

/// The trigger takes the same lock, so two consoles cannot slip past it together either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_concurrent_consoles_do_not_bypass_the_trigger() {
    let world = World::new(1).await;
    let owners = crowd_of(&world, 2).await;
    for round in 0..ROUNDS {
        let tenant = owned_by(&world, &owners).await;
        let leave = |owner: Principal| {
            sqlx::query("delete from mt.memberships where tenant_id = $1 and principal_id = $2")
                .bind(tenant.as_uuid())
                .bind(owner.id().as_uuid())
                .execute(world.db.admin())
        };
        let (a, b) = tokio::join!(leave(owners[0]), leave(owners[1]));
        assert!(a.is_ok() != b.is_ok(), "round {round}: {a:?}, {b:?}");
        assert_eq!(owners_of(&world, tenant).await, 1, "round {round}");
    }
}

#[tokio::test]
async fn database_refuses_to_remove_the_last_owner_in_a_console() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    for sql in [
        "delete from mt.memberships",
        "update mt.memberships set role = 'viewer', is_owner = false",
        "delete from mt.users",
    ] {
        let refused = world.db.admin().execute(sql).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("memberships_keep_an_owner"), "{sql}");
    }
    // The negative control: it is the trigger that refuses.
    let without = "alter table mt.memberships disable trigger memberships_keep_an_owner";
    world.db.admin().execute(without).await.unwrap();
    world.db.admin().execute("delete from mt.memberships").await.unwrap();
    let with = "alter table mt.memberships enable trigger memberships_keep_an_owner";
    world.db.admin().execute(with).await.unwrap();

    // A tenant goes with its owners.
    world.join(tenant, owner, Role::Owner).await;
    world.db.admin().execute("delete from mt.tenants").await.unwrap();
    assert_eq!(world.count("select count(*) from mt.memberships").await, 0);
}

#[tokio::test]
async fn owner_deletes_the_tenant_with_all_members() {
    let world = World::new(1).await;
    let owners = crowd_of(&world, 2).await;
    let (tenant, other) = (owned_by(&world, &owners).await, owned_by(&world, &owners).await);
    let grant = world.grant::<Manage>(owners[0], tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    Tenant::delete(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(owners_of(&world, tenant).await, 0);
    assert_eq!(owners_of(&world, other).await, 2);
}

#[tokio::test]
async fn removed_member_is_not_found_in_the_next_transaction() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let (reading, writing) = (
        world.grant::<NotesRead>(editor, tenant).await,
        world.grant::<NotesWrite>(editor, tenant).await,
    );
    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    tx.remove_member(editor.id()).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.tenants.begin(reading).await.unwrap_err();
    assert!(matches!(refused, BeginError::NotAMember), "{refused:?}");
    let refused = world.tenants.begin(writing).await.unwrap_err();
    assert!(matches!(refused, BeginError::NotAMember), "{refused:?}");
}

const WRITERS: u32 = 16;

/// Members who write without a pause, on facts of before, until they are refused.
struct Writers {
    tasks: JoinSet<BeginError>,
    written: Arc<Semaphore>,
}

impl Writers {
    /// Returns when all of them are at it.
    async fn start(world: &Arc<World>, who: Principal, tenant: TenantId) -> Self {
        let written = Arc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let (world, written) = (Arc::clone(world), Arc::clone(&written));
            let access = world.access(who, tenant).await;
            tasks.spawn(async move {
                loop {
                    let grant = access.authorize::<NotesWrite>().unwrap();
                    let mut tx = match world.tenants.begin(grant).await {
                        Ok(tx) => tx,
                        Err(refused) => return refused,
                    };
                    write_note(&mut tx, "one of many").await;
                    tx.commit().await.unwrap();
                    written.add_permits(1);
                }
            });
        }
        written.acquire_many(WRITERS).await.unwrap().forget();
        Self { tasks, written }
    }

    /// Waits until all are refused, and says how.
    async fn refused(self) -> Vec<BeginError> {
        let refused = self.tasks.join_all().await;
        drop(self.written);
        refused
    }
}

/// A writer holds its membership until it commits, so a demotion waits for those under way and keeps
/// out those to come, however many there are: what is there when it has returned is all that there
/// will be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_of_the_old_role_commits_after_a_demotion() {
    let world = Arc::new(World::new(WRITERS + 4).await);
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    for round in 0..ROUNDS {
        let tenant = world.tenant(owner).await;
        world.join(tenant, editor, Role::Editor).await;
        let writers = Writers::start(&world, editor, tenant).await;
        let grant = world.grant::<Manage>(owner, tenant).await;
        let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
        tx.assign_role(editor.id(), Role::Viewer).await.unwrap();
        // Not committed yet, and no other write can be either.
        let count = "select count(*) from public.notes";
        let before = world.count(count).await;
        tx.commit().await.unwrap();
        for refused in writers.refused().await {
            let forbidden = matches!(refused, BeginError::Denied(Denied::Forbidden));
            assert!(forbidden, "round {round}: {refused:?}");
        }
        assert_eq!(world.count(count).await, before, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn continuous_writes_delay_neither_removal_nor_deletion() {
    let world = Arc::new(World::new(WRITERS + 4).await);
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    for round in 0..5 {
        for whole_tenant in [false, true] {
            let tenant = world.tenant(owner).await;
            world.join(tenant, editor, Role::Editor).await;
            let writers = Writers::start(&world, editor, tenant).await;
            let grant = world.grant::<Manage>(owner, tenant).await;
            let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
            if whole_tenant {
                Tenant::delete(&mut tx).await.unwrap();
            } else {
                tx.remove_member(editor.id()).await.unwrap();
            }
            tx.commit().await.unwrap();
            for refused in writers.refused().await {
                assert!(matches!(refused, BeginError::NotAMember), "round {round}: {refused:?}");
            }
        }
    }
}

/// The negative control: a writer that has only read its role writes under it after the demotion.
#[tokio::test]
async fn role_read_without_the_lock_survives_its_demotion() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let mut writer = world.db.admin().acquire().await.unwrap();
    writer.execute("begin").await.unwrap();
    let role: String =
        sqlx::query_scalar("select role from mt.memberships where principal_id = $1")
            .bind(editor.id().as_uuid())
            .fetch_one(&mut *writer)
            .await
            .unwrap();
    assert_eq!(role, "editor");
    let grant = world.grant::<Manage>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).exclusive().await.unwrap();
    tx.assign_role(editor.id(), Role::Viewer).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query("insert into public.notes (tenant_id, text) values ($1, 'late')")
        .bind(tenant.as_uuid())
        .execute(&mut *writer)
        .await
        .unwrap();
    writer.execute("commit").await.unwrap();
    assert_eq!(world.count("select count(*) from public.notes").await, 1);
}
