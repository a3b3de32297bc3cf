//! Thousands of clients disconnect while a table is locked for three seconds at a time.
//!
//! Each of them leaves a statement behind that waits for the lock. Other clients are served in the gaps
//! between two locks, and those that do not need the table all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use test_support::report::{publish, table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::{Failure, Org};
use super::dependencies::Route;
use super::load::Load;
use super::request::{Kind, Request};
use super::server::Server;
use super::setup::Setup;

/// How long the table is locked, and the pause until the next lock.
const LOCKED: Duration = Duration::from_secs(3);
const GAP: Duration = Duration::from_secs(1);
/// The number of clients that disconnect at a time.
const DISCONNECTING: usize = 32;
/// The number of disconnects without which the test would show nothing.
const AT_LEAST: usize = 1000;
/// The longest time without a successful request of a kind that needs the table.
const SERVED_WITHIN: Duration = Duration::from_secs(6);
/// The longest time without a successful request of a kind that does not need it.
const UNHINDERED_WITHIN: Duration = Duration::from_secs(3);

/// Connects, sends a request and disconnects after `stay`. Returns whether that was before the answer.
async fn hang_up(address: &str, request: &[u8], stay: Duration) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let _ = stream.set_nodelay(true);
    if stream.write_all(request).await.is_err() {
        return false;
    }
    let mut first = [0];
    let is_answered = tokio::time::timeout(stay, stream.read(&mut first)).await.is_ok();
    let _ = stream.set_zero_linger();
    !is_answered
}

fn request(method: &str, org: &Org, body: &str) -> Vec<u8> {
    format!(
        "{method} {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        org.tasks,
        org.token,
        body.len()
    )
    .into_bytes()
}

/// Locks the table `times` times, with gaps between. Returns the most sessions that the server had.
#[expect(clippy::disallowed_methods, reason = "a superuser's transaction, which is not dropped")]
async fn lock(setup: &Setup, times: usize) -> i64 {
    let mut pooled = setup.dependencies.db.admin().acquire().await.unwrap();
    let mut most = 0;
    for _ in 0..times {
        let mut tx = pooled.begin().await.unwrap();
        sqlx::raw_sql("lock table app.tasks in access exclusive mode")
            .execute(&mut *tx)
            .await
            .unwrap();
        most = most_sessions(setup, LOCKED).await.max(most);
        tx.rollback().await.unwrap();
        most = most_sessions(setup, GAP).await.max(most);
    }
    most
}

async fn most_sessions(setup: &Setup, within: Duration) -> i64 {
    let (until, mut most) = (Instant::now() + within, 0);
    while Instant::now() < until {
        most = setup.dependencies.sessions("").await.max(most);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}

/// The longest time without a successful request of `kind`.
fn longest_silence(requests: &[Request], kind: Kind, from: Instant, to: Instant) -> Duration {
    let done = requests.iter().filter(|one| one.kind == kind && one.outcome.is_ok());
    let mut moments: Vec<Instant> = done.map(|one| one.ended).chain([from, to]).collect();
    moments.sort_unstable();
    moments.windows(2).map(|two| two[1].duration_since(two[0])).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_disconnect_at_a_locked_table_starve_no_others() {
    let Some(setup) = Setup::new(Route::Direct).await else { return };
    let server = Server::start(&setup.dependencies, &[]).await;
    let address: Arc<str> = server.base_url().trim_start_matches("http://").into();
    let requests = Arc::new([
        request("POST", &setup.orgs[0], r#"{"title":"disconnected"}"#),
        request("GET", &setup.orgs[0], ""),
    ]);
    let load = Load::start(server.base_url(), &setup.orgs[1..], &setup.writes, Load::FULL);
    load.runs(5).await;

    let from = Instant::now();
    let (is_over, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..DISCONNECTING {
        let (is_over, gone) = (Arc::clone(&is_over), Arc::clone(&gone));
        let (address, requests) = (Arc::clone(&address), Arc::clone(&requests));
        clients.spawn(async move {
            // Spread over the duration of a request.
            let mut stay = u64::try_from(number).unwrap() * 977;
            while !is_over.load(Relaxed) {
                stay = (stay + 3571) % 24_000;
                let request = &requests[usize::from(stay.is_multiple_of(4))];
                let hung_up = hang_up(&address, request, Duration::from_micros(stay)).await;
                gone.fetch_add(usize::from(hung_up), Relaxed);
            }
        });
    }
    let most_sessions = lock(&setup, 1 + super::rounds()).await;
    let to = Instant::now();
    is_over.store(true, Relaxed);
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let (requests, gone) = (load.stop().await, gone.load(Relaxed));

    let silences = Kind::ALL.map(|kind| (kind, longest_silence(&requests, kind, from, to)));
    let refused: Vec<_> = requests
        .iter()
        .filter(|one| !matches!(one.outcome, Ok(()) | Err(Failure::Unavailable)))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let failed = requests.iter().filter(|one| one.outcome.is_err()).count();
    let report = format!(
        "{gone} hung up; {failed} of {} failed; {silences:?}; {most_sessions} sessions at most",
        requests.len()
    );
    assert!(gone >= AT_LEAST, "{report}");
    for (kind, silence) in silences {
        let needs_the_table = matches!(kind, Kind::Read | Kind::Create);
        let within = if needs_the_table { SERVED_WITHIN } else { UNHINDERED_WITHIN };
        assert!(silence <= within, "{kind:?}: {report}\n{}", server.log());
    }
    let violations_at_rest = server.violations_at_rest(&setup.dependencies, setup.route).await;
    assert!(violations_at_rest.is_empty(), "{violations_at_rest:?}\n{}", server.log());
    setup.dependencies.run("delete from app.tasks where title = 'disconnected'").await;
    setup.writes.check(&setup.dependencies).await;
    assert!(server.terminate().await.succeeded);

    let rows: Vec<_> = silences
        .iter()
        .map(|(kind, silence)| vec![format!("{kind:?}"), format!("{} ms", silence.as_millis())])
        .collect();
    let head = ["requests", "longest time without one that was carried out"];
    let text = format!(
        "{gone} clients disconnected; the server had {most_sessions} sessions at most.\n\n{}",
        table(&head, &rows)
    );
    publish(super::PAGE, "figures of the crowd", &text);
}
