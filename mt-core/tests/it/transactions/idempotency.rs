//! Idempotency keys: a repeated request runs once and gets the first answer.

use std::sync::Arc;
use std::time::Duration;

use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::idempotency::{IdempotencyError, IdempotentRequest, StoredResponse, purge};
use mt_core::pg::{Database, DatabaseOptions};
use mt_core::testing::Relay;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{NotesWrite, Role, SETUP, World, write_note};

const CROWD: usize = 64;

fn answer(text: &str) -> StoredResponse {
    StoredResponse {
        status: 201,
        headers: vec![("location".to_owned(), format!("/notes/{text}"))],
        body: text.as_bytes().to_vec(),
    }
}

/// Writes a note unless the request was answered before; `text` tells who has written it.
async fn write_once(
    world: &World,
    who: Principal,
    tenant: TenantId,
    request: IdempotentRequest,
    text: &str,
) -> Result<StoredResponse, IdempotencyError> {
    let grant = world.grant::<NotesWrite>(who, tenant).await;
    let mut tx = world.tenants.begin(grant).idempotent(&request).await.unwrap();
    if let Some(earlier) = tx.stored_response()? {
        return Ok(earlier);
    }
    write_note(&mut tx, text).await;
    let answer = answer(text);
    tx.store_response(&answer).await?;
    tx.commit().await?;
    Ok(answer)
}

async fn count(world: &World, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(sql).fetch_one(world.db.admin()).await.unwrap()
}

/// Has a crowd send one request at the same moment. Returns how many notes it made and how many
/// different answers it was given.
async fn crowd(world: World) -> (i64, usize) {
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let (world, barrier) = (Arc::new(world), Arc::new(Barrier::new(CROWD)));
    let mut tasks = JoinSet::new();
    for number in 0..CROWD {
        let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
        tasks.spawn(async move {
            let request = IdempotentRequest::new("/notes", "key", b"body");
            barrier.wait().await;
            write_once(&world, owner, tenant, request, &number.to_string()).await.unwrap().body
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort();
    answers.dedup();
    (count(&world, "public.notes").await, answers.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_with_one_key_run_once_and_get_the_same_answer() {
    assert_eq!(crowd(World::new(12).await).await, (1, 1));
}

/// How many notes the crowd makes without the lock.
async fn unlocked_crowd() -> i64 {
    let mut world = World::new(1).await;
    let unlocked = |sql: &str| {
        sql.contains("mt.idempotency_keys a").then(|| {
            sql.replace(
                "pg_advisory_xact_lock(hashtextextended('mt.idem",
                "(hashtextextended('mt.idem",
            )
        })
    };
    let relay = Relay::rewriting(&world.db.login(), unlocked).await.unwrap();
    let login = relay.through(world.db.login());
    let options = DatabaseOptions::new(login).max_connections(12);
    let patient = options.acquire_timeout(Duration::from_secs(30));
    world.database = Database::connect(patient).await.unwrap();
    world.database.warm_up().await;
    world.tenants = world.database.tenants(StandingPolicy::default());
    crowd(world).await.0
}

/// The control: the crowd above is one, for without the lock several get through. On a busy machine the first may
/// have committed before the second looks, so there is more than one try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_lock_concurrent_requests_run_several_times() {
    for _ in 0..20 {
        if unlocked_crowd().await > 1 {
            return;
        }
    }
    panic!("twenty crowds without the lock made one note each");
}

#[tokio::test]
async fn idempotency_key_is_scoped_to_principal_tenant_and_target() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let (here, there) = (world.tenant(owner).await, world.tenant(owner).await);
    world.join(here, editor, Role::Editor).await;
    let request = IdempotentRequest::new("/notes", "key", b"body");
    let elsewhere = IdempotentRequest::new("/other", "key", b"body");
    let another = IdempotentRequest::new("/notes", "another", b"body");
    for (who, tenant, request, text) in [
        (owner, here, request, "first"),
        (editor, here, request, "of another principal"),
        (owner, there, request, "in another tenant"),
        (owner, here, elsewhere, "for another target"),
        (owner, here, another, "under another key"),
    ] {
        let given = write_once(&world, who, tenant, request, text).await.unwrap();
        assert_eq!(given, answer(text));
        let again = write_once(&world, who, tenant, request, "again").await.unwrap();
        assert_eq!(again, given);
    }
    assert_eq!(count(&world, "public.notes").await, 5);
    let other_body = IdempotentRequest::new("/notes", "key", b"other body");
    let refused = write_once(&world, owner, here, other_body, "x").await;
    assert!(matches!(refused, Err(IdempotencyError::KeyReused(_))), "{refused:?}");
    // A removed member gets no stored answer any more, not even its own.
    world.remove(here, editor).await;
    let access = world.tenants.load_access(editor, here).await;
    assert!(access.is_err(), "{access:?}");
}

#[tokio::test]
async fn rolled_back_request_stores_no_answer() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let request = IdempotentRequest::new("/notes", "key", b"body");
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let mut tx = world.tenants.begin(grant).idempotent(&request).await.unwrap();
    assert_eq!(tx.stored_response().unwrap(), None);
    write_note(&mut tx, "lost").await;
    tx.store_response(&answer("lost")).await.unwrap();
    tx.rollback().await.unwrap();
    let given = write_once(&world, owner, tenant, request, "kept").await.unwrap();
    assert_eq!(given, answer("kept"));
}

#[tokio::test]
async fn idempotency_key_expires_after_a_day() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let request = |key| IdempotentRequest::new("/notes", key, b"body");
    for key in ["a", "b"] {
        write_once(&world, owner, tenant, request(key), "first").await.unwrap();
    }
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    assert_eq!(request("a").stored_response(&mut tx, owner.id()).await.unwrap(), None);
    request("a").store_response(&mut tx, owner.id(), &answer("first")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(purge(&world.database.system()).await.unwrap(), 0);

    for table in ["mt.idempotency_keys", "mt.principal_idempotency_keys"] {
        let sql = format!("update {table} set created_at = now() - interval '24 hours 1 second'");
        sqlx::query(AssertSqlSafe(sql)).execute(world.db.admin()).await.unwrap();
    }
    // Found or purged first, it is new either way.
    let given = write_once(&world, owner, tenant, request("a"), "second").await.unwrap();
    assert_eq!(given, answer("second"));
    assert_eq!(purge(&world.database.system()).await.unwrap(), 2, "`b`, and the one of no tenant");
    let again = write_once(&world, owner, tenant, request("a"), "third").await.unwrap();
    assert_eq!(again, answer("second"));
    let given = write_once(&world, owner, tenant, request("b"), "third").await.unwrap();
    assert_eq!(given, answer("third"));
}

#[tokio::test]
async fn stored_answers_are_visible_to_their_principal_and_tenant_only() {
    let world = World::new(2).await;
    let (owner, editor) = (world.user("owner").await, world.user("editor").await);
    let (here, there) = (world.tenant(owner).await, world.tenant(editor).await);
    world.join(here, editor, Role::Editor).await;
    let request = IdempotentRequest::new("/notes", "key", b"body");
    write_once(&world, owner, here, request, "secret").await.unwrap();
    let raw = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(world.db.admin().connect_options().as_ref().clone())
        .await
        .unwrap();
    let mut conn = raw.acquire().await.unwrap();
    for (tenant, principal, seen) in [
        (here.to_string(), owner.id().to_string(), 1),
        (here.to_string(), editor.id().to_string(), 0),
        (there.to_string(), owner.id().to_string(), 0),
        (here.to_string(), String::new(), 0),
        (String::new(), owner.id().to_string(), 0),
    ] {
        let open =
            format!("begin; call mt.seal('{tenant}', '{principal}', ''); set local role mt_app");
        conn.execute(AssertSqlSafe(open)).await.unwrap();
        let count = "select count(*) from mt.idempotency_keys";
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *conn).await.unwrap();
        assert_eq!(rows, seen, "tenant `{tenant}`, principal `{principal}`");
        let refused = conn.execute("select * from mt.principal_idempotency_keys").await;
        assert!(refused.unwrap_err().to_string().contains("permission denied"));
        conn.execute("rollback").await.unwrap();
    }
}
