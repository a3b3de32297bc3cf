//! Thousands of dropped transactions beside running writers lose no acknowledged write.
//!
//! The same load runs on the library and on plain sqlx, without and with the hook that the
//! library sets on its pool. The writes lost there show that the test would find lost writes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mt_core::auth::Principal;
use mt_core::id::TenantId;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;

use crate::support::{NotesWrite, World, write_note};
use crate::transactions::cancellation::cancelled_after;

const WRITERS: usize = 4;
const HASTY: usize = 4;

/// A writer, through the library or through plain sqlx.
trait Writes: Send + Sync + 'static {
    /// Writes `text`, and returns once that was acknowledged.
    fn write(&self, text: String) -> impl Future<Output = ()> + Send;
    /// A transaction that writes nothing which is missed, to be dropped on the way.
    fn hasty(&self) -> impl Future<Output = ()> + Send;
}

/// By the library.
struct ByTenantTx {
    world: Arc<World>,
    owner: Principal,
    tenant: TenantId,
}

impl Writes for ByTenantTx {
    async fn write(&self, text: String) {
        let grant = self.world.grant::<NotesWrite>(self.owner, self.tenant).await;
        let mut tx = self.world.tenants.begin(grant).await.unwrap();
        write_note(&mut tx, &text).await;
        tx.commit().await.unwrap();
    }

    async fn hasty(&self) {
        self.write("hasty".to_owned()).await;
    }
}

/// By sqlx's own transactions, and statements of their own for the writers.
struct BySqlx {
    pool: PgPool,
    tenant: TenantId,
}

impl BySqlx {
    fn insert(&self, text: &str) -> AssertSqlSafe<String> {
        let tenant = self.tenant;
        AssertSqlSafe(format!(
            "insert into public.notes (tenant_id, text) values ('{tenant}', '{text}')"
        ))
    }
}

impl Writes for BySqlx {
    async fn write(&self, text: String) {
        sqlx::query(self.insert(&text)).execute(&self.pool).await.unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "shows why it is disallowed")]
    async fn hasty(&self) {
        let mut tx = self.pool.begin_with("begin isolation level read committed").await.unwrap();
        sqlx::query(self.insert("hasty")).execute(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
    }
}

/// Blows until `drops` futures were dropped. What was acknowledged meanwhile.
async fn storm<W: Writes>(drops: usize, writes: Arc<W>) -> Vec<String> {
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (writes, over) = (Arc::clone(&writes), Arc::clone(&over));
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let text = format!("{writer}-{}", acknowledged.len());
                writes.write(text.clone()).await;
                acknowledged.push(text);
            }
            acknowledged
        });
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for number in 0..HASTY {
        let (writes, dropped) = (Arc::clone(&writes), Arc::clone(&dropped));
        crowd.spawn(async move {
            let mut polls = number;
            while dropped.load(Ordering::Relaxed) < drops {
                polls = polls % 13 + 1;
                let cut = cancelled_after(polls, writes.hasty()).await;
                dropped.fetch_add(usize::from(cut), Ordering::Relaxed);
            }
        });
    }
    crowd.join_all().await;
    over.store(true, Ordering::Relaxed);
    writers.join_all().await.concat()
}

async fn world() -> (Arc<World>, Principal, TenantId) {
    // Fewer connections than there are users of them, so that each goes from hand to hand.
    let world = Arc::new(World::new(4).await);
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    (world, owner, tenant)
}

/// How many of `acknowledged` are not there.
async fn lost(world: &World, acknowledged: &[String]) -> usize {
    let stored: Vec<String> =
        sqlx::query_scalar("select text from public.notes where text <> 'hasty'")
            .fetch_all(world.db.admin())
            .await
            .unwrap();
    let stored = std::collections::HashSet::<String>::from_iter(stored);
    acknowledged.iter().filter(|text| !stored.contains(*text)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_dropped_transactions_lose_no_acknowledged_write() {
    let (world, owner, tenant) = world().await;
    let writes = ByTenantTx { world: Arc::clone(&world), owner, tenant };
    let acknowledged = storm(DROPS, Arc::new(writes)).await;
    assert_eq!(lost(&world, &acknowledged).await, 0, "of {}", acknowledged.len());
    assert!(acknowledged.len() > 100, "only {} writes", acknowledged.len());
    world.no_transaction_stays_open().await;
}

const DROPS: usize = 2_000;

/// The negative control: on a plain pool, acknowledged writes are lost under the same load. With the
/// library's hook on that pool they are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_sqlx_loses_writes_under_the_same_load_without_the_hook() {
    for has_hook in [false, true] {
        let (world, _, tenant) = world().await;
        let mut options = PgPoolOptions::new().max_connections(4).test_before_acquire(false);
        if has_hook {
            options = options.after_release(|conn, _| {
                Box::pin(async move {
                    sqlx::raw_sql("begin; rollback").execute(conn).await?;
                    Ok(true)
                })
            });
        }
        // As a superuser, so that only the transaction is looked at.
        let login = (*world.db.admin().connect_options()).clone();
        let pool = options.connect_with(login).await.unwrap();
        let acknowledged = storm(DROPS, Arc::new(BySqlx { pool: pool.clone(), tenant })).await;
        pool.close().await;
        let lost = lost(&world, &acknowledged).await;
        assert_eq!(lost > 0, !has_hook, "{lost} of {} lost", acknowledged.len());
    }
}
