//! Connections that end, fall silent or do not fit the schema any more, and what that costs requests.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mt_core::access::AccessError;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, Query, TenantPool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::link::Link;
use crate::model::{ALL_NOTES, Acme, NotesRead, NotesWrite, SETUP, World, all_notes, write_note};

const CHANGED: Action = Action::new("note.changed", "note");

/// A tenant with one note, and the pool that its requests use.
struct Scene {
    world: World,
    owner: Principal,
    tenant: TenantId,
}

impl Scene {
    async fn new(connections: u32) -> Self {
        let world = World::new(connections).await;
        let owner = world.user("a").await;
        let tenant = world.tenant(owner).await;
        let scene = Self { world, owner, tenant };
        scene.write("one").await.unwrap();
        scene
    }

    async fn read(&self) -> Result<Vec<String>, BeginError> {
        read(&self.world.tenants, self.owner, self.tenant).await
    }

    async fn write(&self, text: &str) -> Result<(), BeginError> {
        let tenants = &self.world.tenants;
        let grant = tenants.look(self.owner, self.tenant).await.map_err(unavailable)?;
        let mut tx = tenants.begin(grant.authorize::<NotesWrite>().unwrap()).await?;
        write_note(&mut tx, text).await;
        Ok(tx.commit().await?)
    }

    /// Fills the pool with connections that know every statement of a read.
    async fn warm(&self, connections: usize) {
        let grants = std::iter::repeat_with(|| async {
            let grant = self.world.grant::<NotesRead>(self.owner, self.tenant).await;
            self.world.tenants.begin(grant).await.unwrap()
        });
        let open = futures_util::future::join_all(grants.take(connections)).await;
        for mut tx in open {
            all_notes(&mut tx).await;
            tx.commit().await.unwrap();
        }
        for _ in 0..connections {
            self.read().await.unwrap();
        }
        assert_eq!(self.world.database.pool_stats().idle, u32::try_from(connections).unwrap());
    }

    /// Ends every connection of the server's login, and waits until they are gone.
    async fn end_connections(&self) {
        let theirs = "datname = current_database() and usename = current_database()";
        let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where {theirs}");
        self.world.db.admin().execute(AssertSqlSafe(end)).await.unwrap();
        let left = format!("select count(*) from pg_stat_activity where {theirs}");
        let left = Box::leak(left.into_boxed_str());
        while self.world.count(left).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Nothing is lent any more, within the time that a rollback in the background may take.
    async fn is_at_rest(&self) {
        let at_rest = async {
            loop {
                let stats = self.world.database.pool_stats();
                if stats.size == stats.idle && stats.waiting == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let within = Duration::from_secs(5);
        tokio::time::timeout(within, at_rest).await.expect("a connection is still on loan");
    }
}

async fn read(
    tenants: &TenantPool<Acme>,
    owner: Principal,
    tenant: TenantId,
) -> Result<Vec<String>, BeginError> {
    let access = tenants.look(owner, tenant).await.map_err(unavailable)?;
    let grant = access.authorize::<NotesRead>().unwrap();
    let rows = tenants.read(grant, Query::<NotesRead>::new(ALL_NOTES)).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "a parameter of `map_err`")]
fn unavailable(error: AccessError) -> BeginError {
    assert!(matches!(error, AccessError::Unavailable(_)), "{error:?}");
    PgError::Unavailable(sqlx::Error::WorkerCrashed).into()
}

#[tokio::test]
async fn connections_that_ended_at_rest_cost_no_request() {
    let scene = Scene::new(8).await;
    scene.warm(8).await;
    for round in 0..3 {
        scene.end_connections().await;
        assert_eq!(scene.read().await.unwrap().len(), 1 + round);
        scene.write("more").await.unwrap();
        assert_eq!(scene.read().await.unwrap().len(), 2 + round);
        scene.is_at_rest().await;
        // The others were found out with the first.
        assert!(scene.world.database.pool_stats().size < 8);
        scene.warm(8).await;
    }
}

#[tokio::test]
async fn a_transaction_whose_connection_ends_fails_and_leaves_nothing() {
    let scene = Scene::new(2).await;
    scene.warm(2).await;
    let grant = scene.world.grant::<NotesWrite>(scene.owner, scene.tenant).await;
    let mut idle = scene.world.tenants.begin(grant).await.unwrap();
    write_note(&mut idle, "lost").await;
    scene.end_connections().await;
    let error = sqlx::query("select 1").execute(idle.under::<NotesRead>()).await.unwrap_err();
    assert!(matches!(PgError::from(error), PgError::Unavailable(_)));
    assert!(matches!(idle.commit().await, Err(PgError::Unavailable(_))));

    let mut busy = scene.world.database.system().begin(SETUP).await.unwrap();
    let slow = sqlx::query("select pg_sleep(60)").execute(busy.conn());
    let (slow, ()) = tokio::join!(slow, async {
        let asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' \
             and datname = current_database()";
        while scene.world.count(asleep).await == 0 {}
        scene.end_connections().await;
    });
    assert!(matches!(PgError::from(slow.unwrap_err()), PgError::Unavailable(_)));
    drop(busy);
    scene.is_at_rest().await;
    assert_eq!(scene.read().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_dropped_transaction_whose_connection_has_ended_is_closed_once() {
    let scene = Scene::new(2).await;
    scene.warm(2).await;
    let grant = scene.world.grant::<NotesRead>(scene.owner, scene.tenant).await;
    let tx = scene.world.tenants.begin(grant).await.unwrap();
    scene.end_connections().await;
    // The rollback in the background finds the connection dead.
    drop(tx);
    scene.is_at_rest().await;
    assert!(scene.world.database.pool_stats().size <= 1);
    assert_eq!(scene.read().await.unwrap(), ["one"]);
}

/// A pooler keeps its clients' connections when the server's end, and reports that in the middle of theirs.
#[tokio::test]
async fn behind_a_pooler_ended_connections_cost_the_transactions_on_them() {
    let scene = Scene::new(1).await;
    let Some(login) = scene.world.db.pooled_login() else {
        return println!("SKIPPED: no pooler in MT_TEST_PGBOUNCER_URL");
    };
    let options = DatabaseOptions::new(login).max_connections(4);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants(StandingPolicy::default());
    for _ in 0..3 {
        assert_eq!(read(&tenants, scene.owner, scene.tenant).await.unwrap(), ["one"]);
        let mut open = database.system().begin(SETUP).await.unwrap();
        let dropped = database.system().begin(SETUP).await.unwrap();
        scene.end_connections().await;
        let error = sqlx::query("select 1").execute(open.conn()).await.unwrap_err();
        assert!(matches!(PgError::from(error), PgError::Unavailable(_)));
        assert!(matches!(open.commit().await, Err(PgError::Unavailable(_))));
        drop(dropped);
        assert_eq!(read(&tenants, scene.owner, scene.tenant).await.unwrap(), ["one"]);
    }
    let at_rest = async {
        while database.pool_stats().size != database.pool_stats().idle {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), at_rest).await.expect("nothing stays on loan");
}

/// Postgres behind a link, for a pool of its own.
async fn linked(world: &World, connections: u32) -> (Link, Database, TenantPool<Acme>) {
    let link = Link::to(&world.db.login()).await;
    let login: PgConnectOptions = link.through(world.db.login());
    let options = DatabaseOptions::new(login).max_connections(connections);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants(StandingPolicy::default());
    (link, database, tenants)
}

#[tokio::test]
async fn a_server_that_says_nothing_is_unavailable_in_seconds() {
    let scene = Scene::new(1).await;
    let (link, database, tenants) = linked(&scene.world, 2).await;
    assert_eq!(read(&tenants, scene.owner, scene.tenant).await.unwrap(), ["one"]);
    let mut open = database.system().begin(SETUP).await.unwrap();
    link.hold();
    let begun = Instant::now();
    let requests = (0..6).map(|_| read(&tenants, scene.owner, scene.tenant));
    let requests = futures_util::future::join_all(requests);
    let statement = sqlx::query("select 1").fetch_one(open.conn());
    let (answers, statement, ping) = tokio::join!(requests, statement, database.ping());
    for answer in answers {
        assert!(matches!(answer, Err(BeginError::Pg(PgError::Unavailable(_)))), "{answer:?}");
    }
    assert!(matches!(PgError::from(statement.unwrap_err()), PgError::Unavailable(_)));
    assert!(matches!(ping, Err(PgError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    drop(open);
    // Closing does not wait for it either.
    let closed = tokio::time::timeout(Duration::from_secs(6), database.clone().close()).await;
    closed.expect("closes");
    drop((link, database, tenants));
}

#[tokio::test]
async fn service_is_back_with_the_server() {
    let scene = Scene::new(1).await;
    let (link, database, tenants) = linked(&scene.world, 4).await;
    read(&tenants, scene.owner, scene.tenant).await.unwrap();
    link.hold();
    assert!(read(&tenants, scene.owner, scene.tenant).await.is_err());
    link.release();
    let begun = Instant::now();
    assert_eq!(read(&tenants, scene.owner, scene.tenant).await.unwrap(), ["one"]);
    database.ping().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_plan_that_a_migration_invalidated_is_made_anew() {
    let scene = Scene::new(4).await;
    scene.warm(4).await;
    let admin = scene.world.db.admin();
    admin.execute("alter table public.notes alter column text type varchar(100)").await.unwrap();
    assert_eq!(scene.read().await.unwrap(), ["one"]);
    scene.warm(4).await;
    // In a transaction in steps the statement has failed; its connection does not come back, and no
    // other one fails in the same way.
    admin.execute("alter table public.notes alter column text type text").await.unwrap();
    let grant = scene.world.grant::<NotesRead>(scene.owner, scene.tenant).await;
    let mut tx = scene.world.tenants.begin(grant).await.unwrap();
    let stale = sqlx::query(ALL_NOTES).fetch_all(tx.under::<NotesRead>()).await.unwrap_err();
    assert!(matches!(PgError::from(stale), PgError::Unavailable(_)));
    drop(tx);
    scene.warm(4).await;
}

#[tokio::test]
async fn a_statement_that_the_session_does_not_know_is_prepared_anew() {
    let scene = Scene::new(1).await;
    scene.warm(1).await;
    let mut tx = scene.world.database.system().begin(SETUP).await.unwrap();
    tx.conn().execute("deallocate all").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(scene.read().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_commit_that_became_a_rollback_is_an_error() {
    let scene = Scene::new(1).await;
    let wrong = "select 1 / 0";
    let grant = scene.world.grant::<NotesWrite>(scene.owner, scene.tenant).await;
    let mut tx = scene.world.tenants.begin(grant).await.unwrap();
    write_note(&mut tx, "lost").await;
    assert!(sqlx::query(wrong).execute(tx.under::<NotesRead>()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    let mut tx = scene.world.database.system().begin(SETUP).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    let mut tx = scene.world.database.principals().begin(scene.owner).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    // With an entry for the audit log, too.
    let mut tx = scene.world.database.system().begin(SETUP).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    tx.record(scene.tenant, CHANGED.on(scene.tenant.as_uuid()));
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));
    assert_eq!(scene.read().await.unwrap(), ["one"]);
    scene.world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn a_database_that_is_read_only_answers_reads_and_no_writes() {
    let scene = Scene::new(2).await;
    let read_only = "do $$ begin execute format(\
         'alter database %I set default_transaction_read_only = on', current_database()); end $$";
    scene.world.db.admin().execute(read_only).await.unwrap();
    // The setting holds for sessions that begin after it.
    scene.end_connections().await;
    assert_eq!(scene.read().await.unwrap(), ["one"]);
    let refused = scene.write("more").await;
    assert!(matches!(refused, Err(BeginError::Pg(PgError::Unavailable(_)))), "{refused:?}");

    // In a transaction that was opened to read, the same code is the program's mistake.
    let grant = scene.world.grant::<NotesRead>(scene.owner, scene.tenant).await;
    let mut tx = scene.world.tenants.begin(grant).await.unwrap();
    let write = sqlx::query("delete from public.notes").execute(tx.under::<NotesRead>()).await;
    assert!(matches!(PgError::from(write.unwrap_err()), PgError::Database(_)));
}

#[tokio::test]
async fn a_sign_of_life_needs_no_connection_of_the_pool() {
    let scene = Scene::new(2).await;
    let system = scene.world.database.system();
    let all = (system.begin(SETUP).await.unwrap(), system.begin(SETUP).await.unwrap());
    scene.world.database.ping().await.unwrap();
    scene.end_connections().await;
    // Its own connection has ended as well, which says nothing about the server.
    scene.world.database.ping().await.unwrap();
    drop(all);
}

#[tokio::test]
async fn requests_that_give_up_leave_their_connection_to_the_next() {
    let scene = Scene::new(1).await;
    let (link, database, _) = linked(&scene.world, 2).await;
    // The connection that there is, so that the next transaction needs another.
    let held = database.system().begin(SETUP).await.unwrap();
    let before = link.accepted();
    link.hold();
    for _ in 0..5 {
        let system = database.system();
        let gives_up = tokio::time::timeout(Duration::from_millis(20), system.begin(SETUP));
        assert!(gives_up.await.is_err());
    }
    link.release();
    database.system().begin(SETUP).await.unwrap().rollback().await.unwrap();
    assert_eq!(link.accepted(), before + 1, "one login for all of them");
    held.rollback().await.unwrap();
}

/// Log lines of this thread, which is the runtime's.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_transaction_that_wrote_and_is_dropped_warns() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let warnings = || {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.matches("was dropped without commit or rollback").count()
    };
    let scene = Scene::new(1).await;
    let begin = async || {
        let grant = scene.world.grant::<NotesWrite>(scene.owner, scene.tenant).await;
        scene.world.tenants.begin(grant).await.unwrap()
    };
    // One that only read, one that said how it ends, and one that met an error.
    let mut tx = begin().await;
    all_notes(&mut tx).await;
    drop(tx);
    let mut tx = begin().await;
    write_note(&mut tx, "more").await;
    tx.rollback().await.unwrap();
    let mut tx = begin().await;
    write_note(&mut tx, "more").await;
    assert!(sqlx::query("select 1 / 0").execute(tx.under::<NotesRead>()).await.is_err());
    drop(tx);
    assert_eq!(warnings(), 0);
    let mut tx = begin().await;
    write_note(&mut tx, "forgotten").await;
    drop(tx);
    assert_eq!(warnings(), 1);
    assert_eq!(scene.read().await.unwrap(), ["one"]);
}
