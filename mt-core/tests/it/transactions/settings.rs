//! Timeouts and the isolation level of transactions.

use std::time::Duration;

use crate::support::{Acme, Notes, NotesRead, NotesWrite, SETUP, World, write_note};
use mt_core::access::Suspension;
use mt_core::billing::StandingPolicy;
use mt_core::pg::{
    BeginError, Database, DatabaseOptions, Isolation, PgError, Tenant, Tenants, query_scalar,
};

async fn with(
    world: &World,
    set: impl FnOnce(DatabaseOptions) -> DatabaseOptions,
) -> Tenants<Acme> {
    let options = set(DatabaseOptions::new(world.db.login()).max_connections(2));
    Database::connect(options).await.unwrap().tenants(StandingPolicy::default())
}

#[tokio::test]
async fn timeouts_and_isolation_are_those_of_the_options() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let set = "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') || ' ' \
             || current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('transaction_isolation')";
    let seen = async |tenants: Tenants<Acme>| {
        let grant = world.grant::<NotesRead>(owner, tenant).await;
        query_scalar::<String>(set).fetch_one(tenants.read(grant)).await.unwrap()
    };
    assert_eq!(seen(with(&world, |options| options).await).await, "5s 2s 10s read committed");
    let other = with(&world, |options| {
        options
            .statement_timeout(Duration::from_millis(1500))
            .lock_timeout(Duration::from_mins(1))
            .idle_in_transaction_timeout(Duration::from_secs(3))
            .isolation(Isolation::Serializable)
    });
    assert_eq!(seen(other.await).await, "1500ms 1min 3s serializable");
}

#[tokio::test]
async fn a_statement_that_takes_longer_than_its_timeout_is_refused() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let tenants =
        with(&world, |options| options.statement_timeout(Duration::from_millis(50))).await;
    let grant = world.grant::<NotesRead>(owner, tenant).await;
    let slow =
        query_scalar::<bool>("select pg_sleep(20) is null").fetch_one(tenants.read(grant)).await;
    assert!(matches!(slow, Err(BeginError::Pg(PgError::Unavailable(_)))), "{slow:?}");
}

/// A transaction under repeatable read goes on seeing what was there before its first statement, which may wait for a
/// suspension to be committed. It must not write all the same.
#[tokio::test]
async fn a_write_under_repeatable_read_does_not_miss_a_suspension() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let tenants = with(&world, |options| options.isolation(Isolation::RepeatableRead)).await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;

    let mut suspension = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut suspension, tenant, Suspension::Full).await.unwrap();
    let waiting = tokio::spawn({
        let tenants = tenants.clone();
        async move {
            let mut tx = tenants.begin(grant).await?;
            write_note(&mut tx, "written after the suspension").await;
            tx.commit().await?;
            Ok::<_, BeginError>(())
        }
    });
    let waits = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock'";
    while world.count(waits).await == 0 {
        assert!(!waiting.is_finished(), "nothing keeps the write waiting");
        tokio::task::yield_now().await;
    }
    suspension.commit().await.unwrap();
    let refused = waiting.await.unwrap().expect_err("the tenant is suspended");
    let BeginError::Pg(PgError::Unavailable(cause)) = &refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("could not serialize"), "{cause}");
    assert_eq!(world.count("select count(*) from public.notes").await, 0);
}

/// A count under repeatable read would miss what was committed while it waited for the lock.
#[tokio::test]
async fn caps_are_counted_read_committed_whatever_the_settings_say() {
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let tenants = with(&world, |options| options.isolation(Isolation::RepeatableRead)).await;
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let (mut tx, _cap) = tenants.begin(grant).capped::<Notes>().await.unwrap();
    let level = sqlx::query_scalar::<_, String>("select current_setting('transaction_isolation')");
    assert_eq!(level.fetch_one(tx.query::<NotesRead>()).await.unwrap(), "read committed");
    tx.rollback().await.unwrap();
    // The control: without a cap it is as set.
    let mut tx = tenants.begin(grant).await.unwrap();
    let level = sqlx::query_scalar::<_, String>("select current_setting('transaction_isolation')");
    assert_eq!(level.fetch_one(tx.query::<NotesRead>()).await.unwrap(), "repeatable read");
    tx.rollback().await.unwrap();
}
