//! Durability of the embedded database.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use embedded_postgres::{DataDir, EmbeddedError, EmbeddedPostgres};
use sqlx::Connection as _;

use super::{connect, run, text};

/// Tells the child where to work.
const DIR: &str = "MT_TEST_EMBEDDED_DIR";
const COMMITTED: &str = "committed";

#[tokio::test]
async fn data_survives_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::Persistent(dir.path().join("postgres"));
    let postgres = EmbeddedPostgres::start(data.clone()).await.unwrap();
    let mut client = connect(&postgres).await;
    run(&mut client, "create table t (a text); insert into t values ('kept')").await.unwrap();
    client.close().await.unwrap();
    postgres.stop().await.unwrap();

    let postgres = EmbeddedPostgres::start(data).await.unwrap();
    let mut client = connect(&postgres).await;
    assert_eq!(text(&mut client, "select a from t").await.unwrap(), "kept");
}

#[tokio::test]
async fn two_servers_do_not_share_data() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::Persistent(dir.path().join("postgres"));
    let first = EmbeddedPostgres::start(data.clone()).await.unwrap();
    let refused = EmbeddedPostgres::start(data.clone()).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
    assert_eq!(refused.to_string().lines().count(), 1);
    first.stop().await.unwrap();
    EmbeddedPostgres::start(data).await.unwrap();
}

#[tokio::test]
async fn committed_data_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::durability::child_process_that_is_killed"])
        .args(["--ignored", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let committed = lines.any(|line| line.unwrap().contains(COMMITTED));
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert!(committed, "the child ended before it had committed");

    let postgres = EmbeddedPostgres::start(DataDir::Persistent(dir.path().into())).await.unwrap();
    let mut client = connect(&postgres).await;
    let rows = "select string_agg(a::text, ' ' order by a) from t";
    assert_eq!(text(&mut client, rows).await.unwrap(), "1 2");
}

/// Commits two rows, leaves a third uncommitted and waits for its end.
#[tokio::test]
#[ignore = "started by the test above, as a process of its own"]
async fn child_process_that_is_killed() {
    let dir = std::env::var_os(DIR).expect("started by the test above");
    let postgres = EmbeddedPostgres::start(DataDir::Persistent(dir.into())).await.unwrap();
    let mut client = connect(&postgres).await;
    run(&mut client, "create table t (a int); insert into t values (1)").await.unwrap();
    run(&mut client, "insert into t values (2)").await.unwrap();
    run(&mut client, "begin; insert into t values (3)").await.unwrap();
    println!("{COMMITTED}");
    std::future::pending::<()>().await;
}
