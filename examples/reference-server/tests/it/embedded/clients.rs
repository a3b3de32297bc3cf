//! Connections to the embedded database.

use std::path::PathBuf;

use embedded_postgres::{EmbeddedPostgres, LOGIN};
use futures_util::StreamExt as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};

use super::{TIMEOUT, connect, run, temporary, text};

fn socket_dir(postgres: &EmbeddedPostgres) -> PathBuf {
    postgres.admin_options().get_socket().expect("a Unix socket").clone()
}

#[tokio::test]
async fn embedded_database_is_private_and_removed_afterwards() {
    use std::os::unix::fs::PermissionsExt as _;

    let postgres = temporary().await;
    let dir = socket_dir(&postgres);
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    postgres.stop().await.unwrap();
    assert!(!dir.exists());
}

#[tokio::test]
async fn dropping_the_embedded_server_stops_it() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, "select 1").await.unwrap();
    let dir = socket_dir(&postgres);
    // On this very thread, with a client connected and no runtime to help.
    drop(postgres);
    assert!(!dir.exists());
    assert!(run(&mut client, "select 1").await.is_err());
}

/// Without the relay the engine is gone after the first of these.
#[tokio::test]
async fn client_that_disconnects_during_an_answer_affects_no_others() {
    let postgres = temporary().await;
    for _ in 0..3 {
        let mut rude = connect(&postgres).await;
        let much = "select repeat('x', 1000) from generate_series(1, 20000)";
        let mut rows = sqlx::raw_sql(much).fetch(&mut rude);
        rows.next().await.expect("a first row").unwrap();
        drop(rows);
        drop(rude);
    }
    let mut polite = connect(&postgres).await;
    assert_eq!(text(&mut polite, "select 'well'").await.unwrap(), "well");
}

#[tokio::test]
async fn a_client_that_leaves_inside_a_transaction_is_rolled_back() {
    let postgres = temporary().await;
    let mut client = connect(&postgres).await;
    run(&mut client, "create table t (a int); create role other").await.unwrap();
    run(&mut client, "begin; insert into t values (1); set local role other").await.unwrap();
    drop(client);
    let mut next = connect(&postgres).await;
    assert_eq!(text(&mut next, "select count(*)::text from t").await.unwrap(), "0");
    assert_eq!(text(&mut next, "select current_user::text").await.unwrap(), "postgres");
}

#[tokio::test]
async fn a_second_client_waits_for_the_first() {
    let postgres = temporary().await;
    let mut first = connect(&postgres).await;
    let options = postgres.admin_options();
    let second = tokio::spawn(async move { PgConnection::connect_with(&options).await });
    // The first one's turn lasts as long as it likes.
    assert_eq!(text(&mut first, "select pg_sleep(0.2)::text").await.unwrap(), "");
    assert!(!second.is_finished());
    first.close().await.unwrap();
    let mut second = tokio::time::timeout(TIMEOUT, second).await.unwrap().unwrap().unwrap();
    run(&mut second, "select 1").await.unwrap();
}

/// A pool as the server has it: one connection, which takes the login role when it is opened.
#[tokio::test]
async fn a_pool_works_as_the_login_role() {
    let postgres = temporary().await;
    let mut admin = connect(&postgres).await;
    run(&mut admin, "create role mt_server login noinherit").await.unwrap();
    admin.close().await.unwrap();

    let pool = PgPoolOptions::new()
        .max_connections(EmbeddedPostgres::MAX_CONNECTIONS)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { run(connection, "set session authorization mt_server").await })
        })
        .connect_with(postgres.admin_options())
        .await
        .unwrap();
    let users = "select concat_ws(' ', session_user, current_user)";
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(
                async move { sqlx::query_scalar::<_, String>(users).fetch_one(&pool).await },
            )
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), format!("{LOGIN} {LOGIN}"));
    }
    // It need not be closed first.
    tokio::time::timeout(TIMEOUT, postgres.stop()).await.unwrap().unwrap();
}
