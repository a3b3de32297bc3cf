//! Servers are killed and restarted while webhooks arrive.
//!
//! Real processes, real signatures, real HTTP. What an effect of its own would count is counted in
//! `mt-stripe/tests/it/crash_recovery.rs`; here it is whether a *server* comes back, how soon, and with everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::testing::TestDatabase;
use mt_stripe::signature::sign;
use reference_server::schema;
use serde_json::{Value, json};
use test_support::process::free_port;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::SECRET;
use crate::support::process::ServerProcess;

const EVENTS: usize = 500;
const COPIES: usize = 4;
const CUSTOMERS: usize = 50;
const SENDERS: usize = 8;
/// Stripe gives up later than that.
const TRIES: usize = 20;

/// The life of a customer: the last of these by `created` is what counts in the end.
const LIFE: [&str; 5] = ["incomplete", "trialing", "active", "past_due", "active"];

fn event(number: usize) -> Value {
    let (customer, step) = (number % CUSTOMERS, number / CUSTOMERS);
    let status = LIFE[step.min(3) + usize::from(step > 3)];
    json!({
        "id": format!("evt_{number}"), "type": "customer.subscription.updated",
        "created": 1_795_449_600 + step,
        "data": {"object": {
            "id": format!("sub_{customer}"), "object": "subscription",
            "customer": format!("cus_{customer}"), "status": status,
            "items": {"data": [{"price": {"id": "price_pro"}, "current_period_end": 1_800_000_000 + step}]},
        }},
    })
}

/// All deliveries, in an order that has nothing to do with theirs.
fn deliveries() -> Vec<Value> {
    let mut all: Vec<(Uuid, Value)> = (0..EVENTS)
        .flat_map(|number| (0..COPIES).map(move |_| (Uuid::new_v4(), event(number))))
        .collect();
    all.sort_by_key(|(order, _)| *order);
    all.into_iter().map(|(_, event)| event).collect()
}

/// Two servers of which one is always being killed or started.
struct Servers {
    urls: Vec<String>,
}

async fn start(db: &TestDatabase, port: &str) -> (ServerProcess, Duration) {
    let began = Instant::now();
    let settings = [
        ("APP_PORT", port),
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("RATE_LIMIT_WEBHOOKS_PER_MIN", "0"),
        ("WEBHOOK_LEASE_SECONDS", "2"),
        ("WEBHOOK_BACKOFF_MS", "50"),
        ("RUST_LOG", "info"),
    ];
    let process = ServerProcess::start(&db.login_url(), &settings).await;
    (process, began.elapsed())
}

async fn send(http: &reqwest::Client, urls: &[String], body: &[u8], sent: &AtomicUsize) {
    for attempt in 0..TRIES {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let request = http
            .post(format!("{}/webhooks/stripe", urls[number % urls.len()]))
            .timeout(Duration::from_secs(5))
            .header("stripe-signature", sign(SECRET, body, SystemClock.now()))
            .body(body.to_vec());
        match request.send().await {
            Ok(answer) if answer.status() == 200 => return,
            Ok(answer) => assert_eq!(answer.status(), 503, "only what another attempt can mend"),
            // No server listens, or it was killed.
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50 << attempt.min(5))).await;
    }
    panic!("Stripe would have given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeatedly_killed_servers_lose_and_double_no_event() {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let mut tenants = Vec::new();
    for customer in 0..CUSTOMERS {
        let tenant = Uuid::now_v7();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "insert into mt.tenants (id, name) values ('{tenant}', 'An org'); \
             insert into mt.billing_customers (tenant_id, provider, customer_id) \
                 values ('{tenant}', 'stripe', 'cus_{customer}')"
        )))
        .execute(db.admin())
        .await
        .unwrap();
        tenants.push(tenant);
    }
    let ports = [free_port(), free_port()].map(|port| port.to_string());
    let urls = ports.clone().map(|port| format!("http://127.0.0.1:{port}"));
    let mut servers = Vec::new();
    for port in &ports {
        servers.push(start(&db, port).await.0);
    }
    let servers_urls = Servers { urls: urls.to_vec() };
    let urls = Arc::new(servers_urls.urls);

    let (left, sent) =
        (Arc::new(std::sync::Mutex::new(deliveries())), Arc::new(AtomicUsize::new(0)));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (left, sent, urls) = (Arc::clone(&left), Arc::clone(&sent), Arc::clone(&urls));
        let http = reqwest::Client::new();
        senders.spawn(async move {
            loop {
                let Some(event) = left.lock().unwrap().pop() else { return };
                send(&http, &urls, event.to_string().as_bytes(), &sent).await;
            }
        });
    }
    let mut kills = 0;
    let mut slowest = Duration::ZERO;
    let all_sent = async {
        while let Some(done) = senders.join_next().await {
            done.unwrap();
        }
    };
    let mut all_sent = std::pin::pin!(all_sent);
    loop {
        let pause = tokio::time::sleep(Duration::from_millis(400));
        tokio::select! {
            () = &mut all_sent => break,
            () = pause => {}
        }
        let victim = kills % servers.len();
        // SIGKILL, and then in its place again.
        servers.remove(victim);
        let (db, port) = (Arc::clone(&db), ports[victim].clone());
        let started = tokio::spawn(async move { start(&db, &port).await });
        let (process, took) = started.await.unwrap();
        slowest = slowest.max(took);
        servers.insert(victim, process);
        kills += 1;
    }
    let draining = Instant::now();
    let count = async |sql: &'static str| {
        sqlx::query_scalar::<_, i64>(sql).fetch_one(db.admin()).await.unwrap()
    };
    let left = "select count(*) from mt.webhook_events where status <> 'processed'";
    while count(left).await > 0 {
        assert!(draining.elapsed() < Duration::from_secs(30), "{} are left", count(left).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(kills >= 3, "only {kills} kills: the run was over too soon");
    let events = i64::try_from(EVENTS).unwrap();
    assert_eq!(count("select count(*) from mt.webhook_events where deliveries >= 4").await, events);
    let applied = "select count(*) from mt.webhook_attempts where outcome = 'processed'";
    assert_eq!(count(applied).await, events, "each once");
    for (customer, tenant) in tenants.iter().enumerate() {
        let last = i64::try_from(EVENTS / CUSTOMERS - 1).unwrap();
        let row: (String, String, i64) = sqlx::query_as(
            "select plan, subscription_status, extract(epoch from current_period_end)::bigint \
             from mt.tenants where id = $1",
        )
        .bind(tenant)
        .fetch_one(db.admin())
        .await
        .unwrap();
        let expected = ("pro".to_owned(), "active".to_owned(), 1_800_000_000 + last);
        assert_eq!(row, expected, "customer {customer}, after {kills} kills");
    }
    // Generous: the machine that tests run on is busy with them.
    assert!(slowest < Duration::from_secs(20), "{slowest:?} until a server listens again");
}
