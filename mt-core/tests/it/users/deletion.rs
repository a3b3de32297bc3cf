//! Deleting a user: what goes, what stays, and the last owner.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::{BeginError, DeleteUserError, Identity, PgError, User};
use mt_core::token::TokenHasher;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{NotesRead, NotesWrite, Role, SETUP, World, email, write_note};

const ROUNDS: usize = 25;

async fn delete(world: &World, user: Principal) -> Result<Option<Vec<TenantId>>, DeleteUserError> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    tx.act_as(Actor::operator("grace"));
    let deleted = User::delete(&mut tx, user.id()).await;
    match deleted {
        Ok(_) => tx.commit().await.unwrap(),
        Err(_) => tx.rollback().await.unwrap(),
    }
    deleted
}

fn spawn_delete(
    world: &Arc<World>,
    user: Principal,
) -> JoinHandle<Result<Option<Vec<TenantId>>, DeleteUserError>> {
    let world = Arc::clone(world);
    tokio::spawn(async move { delete(&world, user).await })
}

/// Waits until a statement of another transaction waits for a lock.
async fn one_waits(world: &World) {
    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock'";
    let waits = async { while world.count(waiting).await == 0 {} };
    tokio::time::timeout(Duration::from_secs(5), waits).await.expect("nothing waits");
}

/// How many rows of `mt` name the user or the address, by table.
async fn traces(world: &World, user: Principal, address: &str) -> Vec<(&'static str, i64)> {
    let mut traces = Vec::new();
    for (table, condition) in [
        ("users", "id = $1 or email = $2"),
        ("memberships", "principal_id = $1 and $2 <> ''"),
        ("identities", "principal_id = $1 and $2 <> ''"),
        ("magic_links", "email = $2 and $1 is not null"),
        ("principal_idempotency_keys", "principal_id = $1 and $2 <> ''"),
        ("invites", "email = $2 and accepted_at is not null and $1 is not null"),
    ] {
        let sql = format!("select count(*) from mt.{table} where {condition}");
        let rows = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(user.id().as_uuid())
            .bind(address)
            .fetch_one(world.db.admin())
            .await
            .unwrap();
        traces.push((table, rows));
    }
    traces
}

/// Gives the user something in each table that names users, and an open invite in `other`.
async fn leave_traces(
    world: &World,
    user: Principal,
    name: &str,
    tenant: TenantId,
    other: TenantId,
) {
    let hasher = TokenHasher::new(b"a secret of the tests, 32 bytes.");
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Identity::link(&mut tx, user.id(), "https://id.example.org", name).await.unwrap();
    let ttl = Duration::from_mins(10);
    User::make_magic_link(&mut tx, &hasher, &email(name), ttl).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let sql = format!(
        "insert into mt.principal_idempotency_keys \
             (principal_id, request_digest, body_digest, status, headers, body) \
         values ('{user}', sha256('a'), sha256('b'), 201, '{{}}', ''); \
         insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at, accepted_at) \
         values ('{tenant}', gen_random_uuid(), '{email}', 'viewer', 'a', '{user}', now() + '1 day', now()), \
             ('{other}', gen_random_uuid(), '{email}', 'viewer', 'b', '{user}', now() + '1 day', null)",
        user = user.id(),
        email = email(name).as_str(),
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn assert_signed_out(world: &World, user: Principal, tenant: TenantId) {
    let request = AccessRequest::<NotesRead>::new(user, tenant);
    let refused = world.tenants.begin(request).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = world.database.principals().begin(user).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
    let refused = world.database.system().begin_for(user, SETUP).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
}

#[tokio::test]
async fn deleted_user_leaves_audit_entries_and_opens_no_transaction() {
    let world = World::new(2).await;
    let (owner, ada) = (world.user("owner").await, world.user("ada").await);
    let bob = world.user("bob").await;
    let (first, second) = (world.tenant(owner).await, world.tenant(owner).await);
    for user in [ada, bob] {
        world.join(first, user, Role::Editor).await;
        world.join(second, user, Role::Viewer).await;
    }
    let third = world.tenant(owner).await;
    leave_traces(&world, ada, "ada", first, third).await;
    leave_traces(&world, bob, "bob", second, third).await;
    let request = AccessRequest::<NotesRead>::new(ada, first);
    world.tenants.begin(request).await.unwrap().rollback().await.unwrap();

    let mut left = vec![first, second];
    left.sort_unstable();
    assert_eq!(delete(&world, ada).await.unwrap(), Some(left));
    assert_signed_out(&world, ada, first).await;
    for (table, rows) in traces(&world, ada, "ada@example.org").await {
        assert_eq!(rows, 0, "{table}");
    }
    // The invite that is open is the tenant's.
    let open = "select count(*) from mt.invites where email = 'ada@example.org'";
    assert_eq!(world.count(open).await, 1);
    // One entry a tenant, with the role there and without the address.
    let entries: Vec<(uuid::Uuid, String, String)> = sqlx::query_as(
        "select tenant_id, actor_name, detail::text from mt.audit_log \
         where action = 'member.removed' and target_id = $1 order by detail->>'role'",
    )
    .bind(ada.id().as_uuid())
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    let detail = |role| format!(r#"{{"role": "{role}", "user_deleted": true}}"#);
    let by = "grace".to_owned();
    let expected =
        [(first.as_uuid(), by.clone(), detail("editor")), (second.as_uuid(), by, detail("viewer"))];
    assert_eq!(entries, expected);

    // The negative control: another user keeps everything.
    for (table, rows) in traces(&world, bob, "bob@example.org").await {
        assert!(rows > 0, "{table}");
    }
    let request = AccessRequest::<NotesRead>::new(bob, first);
    world.tenants.begin(request).await.unwrap().rollback().await.unwrap();
    // There is no such user any more, and the address makes another one.
    assert_eq!(delete(&world, ada).await.unwrap(), None);
    let again = world.user("ada").await;
    assert_ne!(again.id(), ada.id());
    assert_signed_out(&world, ada, first).await;
    let refused = world.tenants.begin(AccessRequest::<NotesRead>::new(again, first)).await;
    assert!(matches!(refused, Err(BeginError::NotAMember)), "{refused:?}");
}

#[tokio::test]
async fn last_owner_is_not_deleted_and_the_tenants_are_named() {
    let world = World::new(2).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (alone, together) = (world.tenant(ada).await, world.tenant(ada).await);
    let (also_alone, member_of) = (world.tenant(ada).await, world.tenant(bob).await);
    world.join(together, bob, Role::Owner).await;
    world.join(alone, bob, Role::Editor).await;
    world.join(member_of, ada, Role::Editor).await;

    let refused = delete(&world, ada).await.unwrap_err();
    let message = refused.to_string();
    let DeleteUserError::LastOwner { tenants } = refused else { panic!("{refused:?}") };
    let mut expected = vec![alone, also_alone];
    expected.sort_unstable();
    assert_eq!(tenants, expected);
    assert_eq!(message, format!("the user is the last owner of {}, {}", expected[0], expected[1]));
    // Nothing has changed, and an entry was not written.
    let request = AccessRequest::<NotesWrite>::new(ada, member_of);
    world.tenants.begin(request).await.unwrap().rollback().await.unwrap();
    let removed = "select count(*) from mt.audit_log where action = 'member.removed'";
    assert_eq!(world.count(removed).await, 0);

    // The negative control: with another owner in each, the user goes.
    for tenant in [alone, also_alone] {
        world.remove(tenant, bob).await;
        world.join(tenant, bob, Role::Owner).await;
    }
    let left = delete(&world, ada).await.unwrap().unwrap();
    assert_eq!(left.len(), 4);
    assert_eq!(world.count(removed).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_deleted_concurrently_keep_one_owner() {
    let world = Arc::new(World::new(6).await);
    for round in 0..ROUNDS {
        let owners =
            [world.user(&format!("a{round}")).await, world.user(&format!("b{round}")).await];
        let tenants = [world.tenant(owners[0]).await, world.tenant(owners[1]).await];
        world.join(tenants[0], owners[1], Role::Owner).await;
        world.join(tenants[1], owners[0], Role::Owner).await;
        let barrier = Arc::new(Barrier::new(owners.len()));
        let mut deleting = JoinSet::new();
        for owner in owners {
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            deleting.spawn(async move {
                barrier.wait().await;
                delete(&world, owner).await
            });
        }
        let results = deleting.join_all().await;
        let deleted = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(deleted, 1, "round {round}: {results:?}");
        let refused = results.iter().filter(|result| {
            matches!(result, Err(DeleteUserError::LastOwner { tenants }) if tenants.len() == 2)
        });
        assert_eq!(refused.count(), 1, "round {round}: {results:?}");
    }
    // The negative control: without the library's locks and the trigger, both go.
    let owners = [world.user("c").await, world.user("d").await];
    let tenant = world.tenant(owners[0]).await;
    world.join(tenant, owners[1], Role::Owner).await;
    let admin = world.db.admin();
    let without = "alter table mt.memberships disable trigger memberships_keep_an_owner";
    admin.execute(without).await.unwrap();
    let delete = async |owner: Principal| {
        let sql = format!("delete from mt.users where id = '{}'", owner.id());
        admin.execute(AssertSqlSafe(sql)).await
    };
    let (a, b) = tokio::join!(delete(owners[0]), delete(owners[1]));
    assert!(a.is_ok() && b.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_waits_for_writes_and_includes_a_tenant_joined_meanwhile() {
    let world = Arc::new(World::new(4).await);
    let (owner, ada) = (world.user("owner").await, world.user("ada").await);
    let (first, second) = (world.tenant(owner).await, world.tenant(owner).await);
    world.join(first, ada, Role::Editor).await;

    // A write that is under way commits.
    let request = AccessRequest::<NotesWrite>::new(ada, first);
    let mut writing = world.tenants.begin(request).await.unwrap();
    write_note(&mut writing, "before").await;
    // And a membership is on its way into a tenant that the deletion does not know of.
    let mut joining = world.db.admin().acquire().await.unwrap();
    joining.execute("begin").await.unwrap();
    let sql = format!(
        "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
         values ('{second}', '{}', 'viewer', false)",
        ada.id()
    );
    joining.execute(AssertSqlSafe(sql)).await.unwrap();

    let deleting = spawn_delete(&world, ada);
    one_waits(&world).await;
    assert!(!deleting.is_finished());
    writing.commit().await.unwrap();
    one_waits(&world).await;
    assert!(!deleting.is_finished());
    joining.execute("commit").await.unwrap();
    let mut both = vec![first, second];
    both.sort_unstable();
    assert_eq!(deleting.await.unwrap().unwrap(), Some(both));
    assert_eq!(world.count("select count(*) from public.notes").await, 1);
    let removed = "select count(*) from mt.audit_log where action = 'member.removed'";
    assert_eq!(world.count(removed).await, 2);
    assert_signed_out(&world, ada, first).await;
}

#[tokio::test]
async fn foreign_key_of_the_application_decides() {
    let world = World::new(2).await;
    let (owner, ada) = (world.user("owner").await, world.user("ada").await);
    let tenant = world.tenant(owner).await;
    world.join(tenant, ada, Role::Editor).await;
    let sql = format!(
        "alter table public.notes add column by uuid, \
             add foreign key (tenant_id, by) references mt.memberships on delete restrict; \
         insert into public.notes (tenant_id, text, by) values ('{tenant}', 'a', '{}')",
        ada.id()
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let refused = delete(&world, ada).await.unwrap_err();
    assert!(matches!(refused, DeleteUserError::Pg(PgError::Database(_))), "{refused:?}");
    // The negative control: a key that sets the column to null lets the user go, whom the role cannot see in that table.
    world
        .db
        .admin()
        .execute(
            "alter table public.notes drop constraint notes_tenant_id_by_fkey, \
                 add foreign key (tenant_id, by) references mt.memberships on delete set null (by)",
        )
        .await
        .unwrap();
    assert_eq!(delete(&world, ada).await.unwrap(), Some(vec![tenant]));
    assert_eq!(world.count("select count(*) from public.notes where by is null").await, 1);
}
