//! An org with slow requests does not block other orgs.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::PgConnection;

use crate::support::{Person, Server, problem};

/// Four connections, and an org that wants more of them than there are.
const CONNECTIONS: &str = "4";
const NOISE: usize = 12;

/// Locks the row of the busy org, so that each write there holds a connection and waits.
async fn held(server: &Server, org: &str) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut held = server.db.admin().acquire().await.unwrap();
    let id = org.rsplit('/').next().unwrap();
    let sql = format!("begin; select 1 from mt.tenants where id = '{id}' for update");
    let connection: &mut PgConnection = &mut held;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
    held
}

/// What a quiet org is answered while a noisy one has `NOISE` requests that wait, how many of those have come to an
/// end by then, and after how many seconds those that were refused may come again.
async fn beside_noise(seats: &str) -> ((u16, String), usize, Vec<String>) {
    let settings = [("DATABASE_MAX_CONNECTIONS", CONNECTIONS), ("ORG_MAX_IN_FLIGHT", seats)];
    let server = Server::start_with(&settings).await;
    let (noisy, quiet) = (server.sign_in("noisy").await, server.sign_in("quiet").await);
    let (here, there) = (server.org(&noisy).await, server.org(&quiet).await);
    // The first request of a member in a process uses the member's own share.
    assert_eq!(server.get(&here, &noisy).await.status, 200);
    let mut lock = held(&server, &here).await;
    let url = format!("{}{here}/projects", server.base_url());
    let client = reqwest::Client::new();
    let noise: Vec<_> = (0..NOISE)
        .map(|number| {
            let request = client
                .post(&url)
                .bearer_auth(&noisy.token)
                .json(&json!({"name": format!("Project {number}")}));
            tokio::spawn(request.send())
        })
        .collect();
    // Until as many wait for the row as can.
    let waiting = "select count(*) from pg_stat_activity \
                   where datname = current_database() and wait_event_type = 'Lock'";
    // One member gets a third of an org's seats, and all but one of the connections where there are no seats.
    let most = if seats == "0" { 3 } else { seats.parse::<i64>().unwrap() / 2 };
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(server.db.admin()).await.unwrap();
        if count >= most {
            break;
        }
        assert!(Instant::now() < until, "{count} of {most} wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = quiet_asks(&server, &there, &quiet).await;
    let ended = noise.iter().filter(|request| request.is_finished()).count();
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
    (answer, ended, refused)
}

async fn quiet_asks(server: &Server, org: &str, who: &Person) -> (u16, String) {
    server.send(Method::GET, org, Some(&who.token), None).await.outcome()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_org_waits_only_for_itself() {
    let (answer, ended, refused) = beside_noise("2").await;
    assert_eq!((answer, ended), ((200, String::new()), 0), "it waits for none of them");
    // Those with a seat by the lock's time-out, the others for want of one.
    assert_eq!(refused.len(), NOISE);
    assert!(refused.iter().all(|wait| ["1", "5"].contains(&wait.as_str())), "{refused:?}");
}

/// The control: without seats the quiet org waits for the noisy one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_seats_a_busy_org_blocks_the_others() {
    let (answer, ended, refused) = beside_noise("0").await;
    assert!(refused.iter().all(|wait| ["1", "5"].contains(&wait.as_str())), "{refused:?}");
    assert!(answer == problem(503, "unavailable") || ended > 0, "{answer:?}");
}

/// A crowd that is served quickly notices nothing: seats are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_fast_requests_are_not_refused() {
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
