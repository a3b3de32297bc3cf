//! An org whose requests do not end keeps nobody else from the database.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::PgConnection;

use crate::support::{Person, Server, problem};

/// Four connections, and an org that wants more of them than there are.
const CONNECTIONS: &str = "4";
const NOISE: usize = 12;

/// Locks the row of the noisy org, so that whoever writes there holds a connection and waits.
async fn held(server: &Server, org: &str) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut held = server.db.admin().acquire().await.unwrap();
    let id = org.rsplit('/').next().unwrap();
    let sql = format!("begin; select 1 from mt.tenants where id = '{id}' for update");
    let connection: &mut PgConnection = &mut held;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
    held
}

/// What a quiet org is answered, and after how long, while a noisy one has `NOISE` requests that wait;
/// and after how many seconds those of them that were refused may come again.
async fn beside_noise(seats: &str) -> ((u16, String), Duration, Vec<String>) {
    let settings = [("DATABASE_MAX_CONNECTIONS", CONNECTIONS), ("ORG_MAX_IN_FLIGHT", seats)];
    let server = Server::start_with(&settings).await;
    let (noisy, quiet) = (server.sign_in("noisy").await, server.sign_in("quiet").await);
    let (here, there) = (server.org(&noisy).await, server.org(&quiet).await);
    let mut lock = held(&server, &here).await;
    let url = format!("{}{here}/projects", server.base_url());
    let noise: Vec<_> = (0..NOISE)
        .map(|number| {
            let request = reqwest::Client::new()
                .post(&url)
                .bearer_auth(&noisy.token)
                .json(&json!({"name": format!("Project {number}")}));
            tokio::spawn(request.send())
        })
        .collect();
    // Until as many wait for the row as can.
    let waiting = "select count(*) from pg_stat_activity \
                   where datname = current_database() and wait_event_type = 'Lock'";
    let most = if seats == "0" { 4 } else { seats.parse::<i64>().unwrap() };
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(server.db.admin()).await.unwrap();
        if count >= most {
            break;
        }
        assert!(Instant::now() < until, "{count} of {most} wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    let answer = quiet_asks(&server, &there, &quiet).await;
    let took = begun.elapsed();
    let mut refused = Vec::new();
    for request in noise {
        let answer = request.await.unwrap().unwrap();
        if answer.status() == 503 {
            refused.push(answer.headers()["retry-after"].to_str().unwrap().to_owned());
        }
    }
    sqlx::raw_sql("rollback").execute(&mut *lock).await.unwrap();
    drop(lock);
    // Nothing is left of it: the noisy org is served again as soon as it is quiet.
    let later = server.get(&here, &noisy).await;
    assert_eq!(later.status, 200, "{later:?}");
    server.stop().await;
    (answer, took, refused)
}

async fn quiet_asks(server: &Server, org: &str, who: &Person) -> (u16, String) {
    server.send(Method::GET, org, Some(&who.token), None).await.outcome()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_noisy_org_waits_for_itself() {
    let (answer, took, refused) = beside_noise("2").await;
    assert_eq!(answer, (200, String::new()));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(
        refused, ["1"; NOISE],
        "those with a seat by the lock's time-out, the others for want of one"
    );
}

/// The control: without seats the quiet org finds no connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_seats_it_takes_everybody_along() {
    let (answer, took, refused) = beside_noise("0").await;
    // Whom a layer turns away, for want of a connection to ask by, is told to wait for longer.
    assert!(refused.iter().all(|wait| ["1", "5"].contains(&wait.as_str())), "{refused:?}");
    assert!(answer == problem(503, "unavailable") || took > Duration::from_secs(1), "{answer:?}");
}

/// A crowd that is served quickly notices nothing: seats are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_is_served_is_not_refused() {
    let settings = [("DATABASE_MAX_CONNECTIONS", CONNECTIONS), ("ORG_MAX_IN_FLIGHT", "1")];
    let server = Server::start_with(&settings).await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let asked = (0..50).map(|_| server.get(&org, &owner));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let page = server.send(Method::GET, "/metrics", None, None).await.text;
    assert!(page.contains("mt_org_share_refusals_total 0"), "{page}");
    server.stop().await;
}
