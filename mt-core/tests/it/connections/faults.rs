//! Connections that end, fall silent, or have outdated prepared statements, and the requests on them.

mod fixture;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mt_core::billing::StandingPolicy;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, Tenants};
use sqlx::Executor as _;
use sqlx::postgres::PgConnectOptions;

use crate::support::tcp_proxy::TcpProxy;
use crate::support::{ALL_NOTES, Acme, NotesRead, NotesWrite, SETUP, World, all_notes, write_note};

use self::fixture::{Fixture, read};

const CHANGED: Action = Action::new("note.changed", "note");

#[tokio::test]
async fn connections_that_ended_while_idle_fail_no_request() {
    let fixture = Fixture::new(8).await;
    fixture.warm(8).await;
    for round in 0..3 {
        fixture.end_connections().await;
        assert_eq!(fixture.read().await.unwrap().len(), 1 + round);
        fixture.write("more").await.unwrap();
        assert_eq!(fixture.read().await.unwrap().len(), 2 + round);
        fixture.is_at_rest().await;
        // The others were found out with the first.
        assert!(fixture.world.database.pool_stats().size < 8);
        fixture.warm(8).await;
    }
}

#[tokio::test]
async fn connections_of_both_logins_are_replaced() {
    let mut fixture = Fixture::new(1).await;
    fixture.world.database = fixture.world.db.connect(2).await.unwrap();
    fixture.world.tenants = fixture.world.database.tenants(StandingPolicy::default());
    for round in 0..3 {
        fixture.end_connections().await;
        // The key of the seal is known, or read again on a fresh connection of the system's.
        assert_eq!(fixture.read().await.unwrap().len(), 1 + round);
        let mut tx = fixture.world.database.system().begin(SETUP).await.unwrap();
        sqlx::query("select 1").execute(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
        fixture.write("more").await.unwrap();
        fixture.is_at_rest().await;
    }
}

#[tokio::test]
async fn transaction_on_an_ended_connection_fails_without_effect() {
    let fixture = Fixture::new(2).await;
    fixture.warm(2).await;
    let grant = fixture.world.grant::<NotesWrite>(fixture.owner, fixture.tenant).await;
    let mut idle = fixture.world.tenants.begin(grant).await.unwrap();
    write_note(&mut idle, "lost").await;
    fixture.end_connections().await;
    let error = sqlx::query("select 1").execute(idle.query::<NotesRead>()).await.unwrap_err();
    assert!(matches!(PgError::from(error), PgError::Unavailable(_)));
    assert!(matches!(idle.commit().await, Err(PgError::Unavailable(_))));

    let mut busy = fixture.world.database.system().begin(SETUP).await.unwrap();
    let slow = sqlx::query("select pg_sleep(60)").execute(busy.conn());
    let (slow, ()) = tokio::join!(slow, async {
        let asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' \
             and datname = current_database()";
        while fixture.world.count(asleep).await == 0 {}
        fixture.end_connections().await;
    });
    assert!(matches!(PgError::from(slow.unwrap_err()), PgError::Unavailable(_)));
    drop(busy);
    fixture.is_at_rest().await;
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn dropped_transaction_on_an_ended_connection_is_closed_once() {
    let fixture = Fixture::new(2).await;
    fixture.warm(2).await;
    let grant = fixture.world.grant::<NotesRead>(fixture.owner, fixture.tenant).await;
    let tx = fixture.world.tenants.begin(grant).await.unwrap();
    fixture.end_connections().await;
    // The rollback in the background finds the connection dead.
    drop(tx);
    fixture.is_at_rest().await;
    assert!(fixture.world.database.pool_stats().size <= 1);
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
}

/// A pooler keeps its clients' connections when the server's end, and reports that in the middle of theirs.
#[tokio::test]
async fn behind_a_pooler_ended_connections_fail_only_their_own_transactions() {
    let fixture = Fixture::new(1).await;
    let Some(login) = fixture.world.db.pooled_login() else {
        return println!("SKIPPED: no pooler in MT_TEST_PGBOUNCER_URL");
    };
    let options = DatabaseOptions::new(login).max_connections(4);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants(StandingPolicy::default());
    for _ in 0..3 {
        assert_eq!(read(&tenants, fixture.owner, fixture.tenant).await.unwrap(), ["one"]);
        let mut open = database.system().begin(SETUP).await.unwrap();
        let dropped = database.system().begin(SETUP).await.unwrap();
        fixture.end_connections().await;
        let error = sqlx::query("select 1").execute(open.conn()).await.unwrap_err();
        assert!(matches!(PgError::from(error), PgError::Unavailable(_)));
        assert!(matches!(open.commit().await, Err(PgError::Unavailable(_))));
        drop(dropped);
        assert_eq!(read(&tenants, fixture.owner, fixture.tenant).await.unwrap(), ["one"]);
    }
    let at_rest = async {
        while database.pool_stats().size != database.pool_stats().idle {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), at_rest).await.expect("nothing stays on loan");
}

/// Postgres behind a link, for a pool of its own.
async fn linked(world: &World, connections: u32) -> (TcpProxy, Database, Tenants<Acme>) {
    let link = TcpProxy::to(&world.db.login()).await;
    let login: PgConnectOptions = link.through(world.db.login());
    let options = DatabaseOptions::new(login).max_connections(connections);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants(StandingPolicy::default());
    (link, database, tenants)
}

#[tokio::test]
async fn silent_server_is_reported_unavailable_within_seconds() {
    let fixture = Fixture::new(1).await;
    let (link, database, tenants) = linked(&fixture.world, 2).await;
    assert_eq!(read(&tenants, fixture.owner, fixture.tenant).await.unwrap(), ["one"]);
    let mut open = database.system().begin(SETUP).await.unwrap();
    link.hold();
    let begun = Instant::now();
    let requests = (0..6).map(|_| read(&tenants, fixture.owner, fixture.tenant));
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
async fn requests_succeed_again_when_the_server_returns() {
    let fixture = Fixture::new(1).await;
    let (link, database, tenants) = linked(&fixture.world, 4).await;
    read(&tenants, fixture.owner, fixture.tenant).await.unwrap();
    link.hold();
    assert!(read(&tenants, fixture.owner, fixture.tenant).await.is_err());
    link.release();
    let begun = Instant::now();
    assert_eq!(read(&tenants, fixture.owner, fixture.tenant).await.unwrap(), ["one"]);
    database.ping().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn plan_invalidated_by_a_migration_is_prepared_again() {
    let fixture = Fixture::new(4).await;
    fixture.warm(4).await;
    let admin = fixture.world.db.admin();
    admin.execute("alter table public.notes alter column text type varchar(100)").await.unwrap();
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
    fixture.warm(4).await;
    // In a transaction in steps the statement has failed; its connection does not come back, and no
    // other one fails in the same way.
    admin.execute("alter table public.notes alter column text type text").await.unwrap();
    let grant = fixture.world.grant::<NotesRead>(fixture.owner, fixture.tenant).await;
    let mut tx = fixture.world.tenants.begin(grant).await.unwrap();
    let stale = sqlx::query(ALL_NOTES).fetch_all(tx.query::<NotesRead>()).await.unwrap_err();
    assert!(matches!(PgError::from(stale), PgError::Unavailable(_)));
    drop(tx);
    fixture.warm(4).await;
}

#[tokio::test]
async fn statement_unknown_to_the_session_is_prepared_again() {
    let fixture = Fixture::new(1).await;
    fixture.warm(1).await;
    let mut tx = fixture.world.database.system().begin(SETUP).await.unwrap();
    let forgets = "create function public.forget() returns void language plpgsql \
         as $$ begin execute 'deallocate all'; end $$";
    fixture.world.db.admin().execute(forgets).await.unwrap();
    sqlx::query("select public.forget()").execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
}

#[tokio::test]
async fn commit_that_postgres_turns_into_a_rollback_is_an_error() {
    let fixture = Fixture::new(1).await;
    let wrong = "select 1 / 0";
    let grant = fixture.world.grant::<NotesWrite>(fixture.owner, fixture.tenant).await;
    let mut tx = fixture.world.tenants.begin(grant).await.unwrap();
    write_note(&mut tx, "lost").await;
    assert!(sqlx::query(wrong).execute(tx.query::<NotesRead>()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    let mut tx = fixture.world.database.system().begin(SETUP).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    let mut tx = fixture.world.database.principals().begin(fixture.owner).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));

    // With an entry for the audit log, too.
    let mut tx = fixture.world.database.system().begin(SETUP).await.unwrap();
    assert!(sqlx::query(wrong).execute(tx.conn()).await.is_err());
    tx.record(fixture.tenant, CHANGED.on(fixture.tenant.as_uuid()));
    assert!(matches!(tx.commit().await, Err(PgError::RolledBack(_))));
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
    fixture.world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn read_only_database_answers_reads_and_refuses_writes() {
    let fixture = Fixture::new(2).await;
    let read_only = "do $$ begin execute format(\
         'alter database %I set default_transaction_read_only = on', current_database()); end $$";
    fixture.world.db.admin().execute(read_only).await.unwrap();
    // The setting holds for sessions that begin after it.
    fixture.end_connections().await;
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
    let refused = fixture.write("more").await;
    assert!(matches!(refused, Err(BeginError::Pg(PgError::Unavailable(_)))), "{refused:?}");

    // In a transaction that was opened to read, the same code is the program's mistake.
    let grant = fixture.world.grant::<NotesRead>(fixture.owner, fixture.tenant).await;
    let mut tx = fixture.world.tenants.begin(grant).await.unwrap();
    let write = sqlx::query("delete from public.notes").execute(tx.query::<NotesRead>()).await;
    assert!(matches!(PgError::from(write.unwrap_err()), PgError::Database(_)));
}

#[tokio::test]
async fn health_check_needs_no_connection_of_the_pool() {
    let fixture = Fixture::new(2).await;
    let system = fixture.world.database.system();
    let all = (system.begin(SETUP).await.unwrap(), system.begin(SETUP).await.unwrap());
    fixture.world.database.ping().await.unwrap();
    fixture.end_connections().await;
    // Its own connection has ended as well, which says nothing about the server.
    fixture.world.database.ping().await.unwrap();
    drop(all);
}

#[tokio::test]
async fn cancelled_requests_leave_their_new_connection_to_the_next() {
    let fixture = Fixture::new(1).await;
    let (link, database, _) = linked(&fixture.world, 2).await;
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
async fn dropping_a_transaction_with_writes_logs_a_warning() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let warnings = || {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.matches("was dropped without commit or rollback").count()
    };
    let fixture = Fixture::new(1).await;
    let begin = async || {
        let grant = fixture.world.grant::<NotesWrite>(fixture.owner, fixture.tenant).await;
        fixture.world.tenants.begin(grant).await.unwrap()
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
    assert!(sqlx::query("select 1 / 0").execute(tx.query::<NotesRead>()).await.is_err());
    drop(tx);
    assert_eq!(warnings(), 0);
    let mut tx = begin().await;
    write_note(&mut tx, "forgotten").await;
    drop(tx);
    assert_eq!(warnings(), 1);
    assert_eq!(fixture.read().await.unwrap(), ["one"]);
}
