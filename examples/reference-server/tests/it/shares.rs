//! Shares of the database: limits for a member, a principal, an org and an export.

mod exports;
mod orgs;
mod principals;
mod stripe_calls;
mod uploads;

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Postgres};

use crate::support::{Answer, Server};

/// Quicker than anything that waits for a seat or a lock of another request.
const SOON: Duration = Duration::from_secs(1);

/// An answer that was given at once.
async fn soon(answer: impl Future<Output = Answer>) -> Answer {
    let begun = Instant::now();
    let answer = answer.await;
    assert!(begun.elapsed() < SOON, "after {:?}: {answer:?}", begun.elapsed());
    answer
}

/// Runs `sql` in a transaction that is left open on the connection that is returned.
async fn held(server: &Server, sql: &str) -> sqlx::pool::PoolConnection<Postgres> {
    let mut held = server.db.admin().acquire().await.unwrap();
    let connection: &mut PgConnection = &mut held;
    sqlx::raw_sql(AssertSqlSafe(format!("begin; {sql}"))).execute(connection).await.unwrap();
    held
}

/// Ends that transaction.
async fn let_go(mut held: sqlx::pool::PoolConnection<Postgres>) {
    sqlx::raw_sql("rollback").execute(&mut *held).await.unwrap();
}

async fn count(server: &Server, of: &str) -> i64 {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and {of}"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(server.db.admin()).await.unwrap()
}

/// Waits until so many transactions of the server wait for a lock.
async fn until_waiting(server: &Server, most: i64) {
    until(server, "wait_event_type = 'Lock'", most).await;
}

/// Waits until no transaction is open.
async fn until_at_rest(server: &Server) {
    until(server, "pid <> pg_backend_pid() and xact_start is not null", 0).await;
}

async fn until(server: &Server, of: &str, expected: i64) {
    // Sooner than Postgres itself ends a transaction that does nothing.
    let deadline = Instant::now() + Duration::from_secs(7);
    loop {
        let found = count(server, of).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found} and not {expected}: {of}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The id at the end of a path.
fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}
