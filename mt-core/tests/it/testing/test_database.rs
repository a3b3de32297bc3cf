//! Creation and deletion of test databases.

use mt_core::testing::TestDatabase;
use sqlx::{Connection as _, PgConnection};

async fn exists(server: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar(
        "select exists (select 1 from pg_database where datname = $1) \
             and exists (select 1 from pg_roles where rolname = $1)",
    )
    .bind(name)
    .fetch_one(server)
    .await
    .unwrap()
}

/// Not while the runtime still runs: its connections could be in the way, and it in theirs.
#[tokio::test]
async fn test_database_is_dropped_when_its_thread_ends() {
    let url = std::env::var("MT_TEST_DATABASE_URL").unwrap();
    let mut server = PgConnection::connect(&url).await.unwrap();
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = TestDatabase::create().await.unwrap();
            let name = db.login().get_database().unwrap().to_owned();
            let url = std::env::var("MT_TEST_DATABASE_URL").unwrap();
            let mut server = PgConnection::connect(&url).await.unwrap();
            drop(db);
            assert!(exists(&mut server, &name).await, "dropped in the middle of a runtime");
            name
        })
    });
    let name = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    assert!(!exists(&mut server, &name).await, "{name} was left behind");
}

/// A warmed-up pool makes no request wait for a login.
#[tokio::test]
async fn warmed_up_pool_has_all_its_connections() {
    let db = TestDatabase::create().await.unwrap();
    let database = db.connect(5).await.unwrap();
    let name = db.login().get_database().unwrap().to_owned();
    let open = async || -> i64 {
        sqlx::query_scalar("select count(*) from pg_stat_activity where starts_with(usename, $1)")
            .bind(&name)
            .fetch_one(db.admin())
            .await
            .unwrap()
    };
    assert!(open().await < 5);
    database.warm_up().await;
    assert_eq!(open().await, 10, "five of each login");
}
